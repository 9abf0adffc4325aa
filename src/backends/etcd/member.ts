// One member of the cluster, over etcd3's connections. They are used below etcd3's own handling
// of failures, which asks a member drawn by lot, repeats writes, cuts the connection under other
// calls when one fails, and logs in over a channel without our options.

import { readFile } from "node:fs/promises";
import { rootCertificates } from "node:tls";
import type { ConnectionPool } from "etcd3/lib/connection-pool.js";
import type { Clock } from "../../lock/clock.js";
import { EtcdFault } from "./faults.js";
import type { Calls, Service, Streams } from "./calls.js";
import type { EtcdAccess } from "./settings.js";

/** How a member is connected to; the same for all. */
export type Connector = (host: string) => ConnectionPool;

const PING_EVERY_MS = 10_000; // etcd hangs up on those who ping more often than every 5 s
const PING_WITHIN_MS = 5000;

/** Loads the driver and reads the certificates. Throws as the file system does. */
export async function connector(access: EtcdAccess): Promise<Connector> {
  const [{ ConnectionPool: Pool }, ca, cert, key] = await Promise.all([
    import("etcd3/lib/connection-pool.js"),
    ...[access.caPath, access.certPath, access.keyPath].map(readIfNamed),
  ]);
  const credentials = access.isEncrypted
    ? {
        rootCertificate: ca ?? Buffer.from(rootCertificates.join("\n")),
        ...(key !== undefined && cert !== undefined ? { privateKey: key, certChain: cert } : {}),
      }
    : undefined;
  const grpcOptions = {
    "grpc.keepalive_time_ms": PING_EVERY_MS,
    "grpc.keepalive_timeout_ms": PING_WITHIN_MS,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1000,
    "grpc.max_receive_message_length": -1,
    // A proxy for web pages is none for a database.
    "grpc.enable_http_proxy": 0,
    "grpc.service_config_disable_resolution": 1,
  };
  return (host) =>
    new Pool({ hosts: host, grpcOptions, ...(credentials === undefined ? {} : { credentials }) });
}

async function readIfNamed(path: string | undefined): Promise<Buffer | undefined> {
  return path === undefined ? undefined : readFile(path);
}

interface Cancellable {
  cancel(): void;
}

// What is called on grpc-js's clients, which etcd3 makes from its .proto files.
type Unary = (
  request: unknown,
  metadata: unknown,
  options: object,
  answer: (error: { code?: number; details?: string } | null, response: unknown) => void,
) => Cancellable;
type Open = (metadata: unknown, options: object) => unknown;

export class Member {
  readonly host: string;
  readonly #pool: ConnectionPool;
  readonly #clock: Clock;

  constructor(host: string, connect: Connector, clock: Clock) {
    this.host = host;
    this.#pool = connect(host);
    this.#clock = clock;
  }

  /** @throws EtcdFault */
  call<S extends Service, M extends keyof Calls[S] & string>(
    service: S,
    method: M,
    request: Calls[S][M] extends { ask: infer Ask } ? Ask : never,
    { withinMs, token }: { readonly withinMs: number; readonly token: string | undefined },
  ): Promise<Calls[S][M] extends { answer: infer Answer } ? Answer : never> {
    return this.#connected(service, token, (client, metadata) => {
      const unary = (client as Record<string, Unary>)[method];
      return new Promise((resolve, reject) => {
        let isLate = false;
        const under = unary?.call(client, request, metadata, {}, (error, response) => {
          stop();
          if (error === null) resolve(response as never);
          else if (isLate) reject(new EtcdFault("late", "no answer in time", this.host));
          else reject(EtcdFault.from(error, this.host));
        });
        const stop = this.#clock.after(withinMs, () => {
          isLate = true;
          under?.cancel();
        });
      });
    });
  }

  /** @throws EtcdFault */
  stream<S extends keyof Streams>(service: S, token: string | undefined): Promise<Streams[S]> {
    const method = service === "Watch" ? "watch" : "leaseKeepAlive";
    return this.#connected(service, token, (client, metadata) => {
      const open = (client as Record<string, Open>)[method];
      return Promise.resolve(open?.call(client, metadata, {}) as Streams[S]);
    });
  }

  close(): void {
    this.#pool.close();
  }

  // Failures leave as values: what etcd3 sees thrown makes it close the connection.
  async #connected<T>(
    service: Service,
    token: string | undefined,
    use: (client: unknown, metadata: unknown) => Promise<T>,
  ): Promise<T> {
    const outcome = await this.#pool
      .withConnection(service, async ({ client, metadata }) => {
        // A member that has lost its cluster is to say so at once.
        metadata.set("hasleader", "true");
        if (token !== undefined) metadata.set("token", token);
        try {
          return { is: await use(client, metadata) };
        } catch (fault) {
          return { fault };
        }
      })
      .catch(() => ({ fault: new EtcdFault("closed", "closed", this.host) }));
    if ("is" in outcome) return outcome.is;
    throw outcome.fault;
  }
}
