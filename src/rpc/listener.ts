import { existsSync } from "node:fs";
import { lookup } from "node:dns/promises";
import { createServer as createTcpServer, type Server as NetServer, type Socket } from "node:net";
import { dirname } from "node:path";
import { createServer as createTlsServer, type TlsOptions, type TLSSocket } from "node:tls";
import {
  formatAddress,
  isLoopback,
  parseAddress,
  type Address,
  type TcpAddress,
} from "../lock/address.js";
import { LockError } from "../lock/errors.js";
import { clearStaleSocket, protectSocket } from "./sockets.js";

// More than this many connections on one address are not taken.
const MOST_CONNECTIONS = 10_000;

// A peer that has vanished without a word is asked for after so long, by the kernel.
const TCP_KEEPALIVE_MS = 30_000;

export interface ListenOptions {
  /** `host:port`, `[::1]:port` or `unix:/path`. */
  readonly address: string;
  /** Callers prove who they are, or the operator has said that they need not. */
  readonly mayBePublic: boolean;
  /** Unix sockets never have TLS: their files' modes protect them. */
  readonly tls: TlsOptions | undefined;
  /** A connection was not taken: too many are open here, or in the whole process. */
  readonly onDrop?: () => void;
  /** How many connections may be open; 10 000 when not given. */
  readonly mostConnections?: number;
  /** Takes a connection over; after the handshake, where there is one. */
  readonly onConnection: (socket: Socket | TLSSocket, listener: Listener) => void;
}

/** One address that is listened on. */
export class Listener implements AsyncDisposable {
  /** As it is, the port that the system chose included. */
  readonly address: Address;
  /** As it was asked for: its host is the name that browsers may call it by. */
  readonly asked: Address;
  readonly #server: NetServer;
  readonly #sockets: ReadonlySet<Socket>;

  constructor(asked: Address, address: Address, server: NetServer, sockets: ReadonlySet<Socket>) {
    this.asked = asked;
    this.address = address;
    this.#server = server;
    this.#sockets = sockets;
  }

  get isLoopback(): boolean {
    return isLoopback(this.address);
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** Takes no more connections; those that are open go on. */
  stop(): void {
    this.#server.close();
  }

  /** Cuts every connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    const isClosed = new Promise<void>((resolve) => {
      this.#server.once("close", resolve);
      if (!this.#server.listening) resolve();
    });
    this.stop();
    for (const socket of this.#sockets) socket.destroy();
    await isClosed;
  }
}

/**
 * Listens on one address.
 * @throws LockError: one line that names the address and says what to do
 */
export async function listen(options: ListenOptions): Promise<Listener> {
  const asked = checked(options.address);
  const at = asked.kind === "unix" ? asked : await resolved(asked);
  if (!isLoopback(at) && !options.mayBePublic) throw publicError(asked);

  const sockets = new Set<Socket>();
  const withTls = at.kind === "unix" ? undefined : options.tls;
  const server = createServer(withTls, sockets, (socket) => {
    options.onConnection(socket, listener);
  });
  server.maxConnections = options.mostConnections ?? MOST_CONNECTIONS;
  const { onDrop = ignore } = options;
  server.on("drop", onDrop);
  await bind(server, at, asked);
  // Running out of file descriptors is told here; the connection is lost, the daemon is not.
  server.on("error", onDrop);
  if (at.kind === "unix") protectSocket(at.path);
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : 0;
  const address = at.kind === "unix" ? at : { ...at, port };
  const listener = new Listener(asked, address, server, sockets);
  return listener;
}

function createServer(
  tls: TlsOptions | undefined,
  sockets: Set<Socket>,
  onConnection: (socket: Socket) => void,
): NetServer {
  const options = { noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEPALIVE_MS };
  const server =
    tls === undefined ? createTcpServer(options) : createTlsServer({ ...options, ...tls });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", ignore);
  });
  server.on(tls === undefined ? "connection" : "secureConnection", (socket: Socket) => {
    socket.on("error", ignore);
    onConnection(socket);
  });
  // Handshakes that fail are the callers' affair; their sockets are closed already.
  server.on("tlsClientError", ignore);
  return server;
}

function checked(text: string): Address {
  const address = parseAddress(text);
  if (address.kind !== "malformed") return address;
  throw new LockError(
    "invalid-field",
    `listen ${JSON.stringify(text)} is no address: expected ${address.expected}`,
    { field: "listen" },
  );
}

// Looked up here, so that what is checked and what is listened on are the same address.
async function resolved(asked: TcpAddress): Promise<TcpAddress> {
  try {
    return { ...asked, host: (await lookup(asked.host)).address };
  } catch (cause) {
    throw new LockError(
      "invalid-field",
      `listen ${formatAddress(asked)}: the host ${asked.host} is not known; give an address of this machine`,
      { field: "listen", cause },
    );
  }
}

async function bind(server: NetServer, at: Address, asked: Address): Promise<void> {
  try {
    await listening(server, at);
  } catch (error) {
    if (at.kind !== "unix" || (error as NodeJS.ErrnoException).code !== "EADDRINUSE") {
      throw bindError(asked, error as NodeJS.ErrnoException);
    }
    await clearStaleSocket(at.path);
    await listening(server, at).catch((again: unknown) => {
      throw bindError(asked, again as NodeJS.ErrnoException);
    });
  }
}

function listening(server: NetServer, at: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(at.kind === "unix" ? { path: at.path } : { host: at.host, port: at.port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function publicError(asked: Address): LockError {
  return new LockError(
    "invalid-field",
    `listen ${formatAddress(asked)} can be reached from other machines, and callers would not have to prove who they are: ` +
      "give a certificate, a key and a client CA, listen on 127.0.0.1, or say --insecure if your network protects it",
    { field: "listen" },
  );
}

function bindError(asked: Address, error: NodeJS.ErrnoException): LockError {
  const where = formatAddress(asked);
  const wrong = (words: string): LockError =>
    new LockError("invalid-field", `listen ${where}: ${words}`, { field: "listen", cause: error });
  switch (error.code ?? "") {
    case "EADDRINUSE":
      return new LockError(
        "unavailable",
        `${where} is in use: another program listens there; stop it, or listen elsewhere`,
        { cause: error },
      );
    case "EACCES":
    case "EPERM":
      if (asked.kind === "tcp") {
        return wrong("may not use this port; choose one above 1023, or grant CAP_NET_BIND_SERVICE");
      }
      // Node says the same of a directory that is not there.
      return existsSync(dirname(asked.path))
        ? wrong("may not create a socket there; choose a directory that this user may write")
        : wrong("its directory does not exist; create it first");
    case "EADDRNOTAVAIL":
      return wrong("is no address of this machine; choose one that is");
    default:
      return wrong(`cannot be listened on: ${error.message}`);
  }
}

function ignore(): void {
  // A broken connection ends by itself; there is nothing to add.
}
