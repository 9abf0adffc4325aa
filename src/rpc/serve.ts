import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { formatAddress } from "../lock/address.js";
import type { Clock } from "../lock/clock.js";
import { Admission } from "./admission.js";
import { Calls } from "./calls.js";
import { GrpcDoor, type Pings } from "./grpc/door.js";
import { listen, type Listener } from "./listener.js";
import type { HoldHub } from "../lock/daemon/hold-hub.js";
import type { Log } from "./log.js";
import { LoopDelay } from "./loop-delay.js";
import { Metrics, type LockStats } from "./metrics.js";
import { Peeker } from "./peek.js";
import { Readiness } from "./readiness.js";
import type { LockService } from "./service.js";
import { Tally } from "./tally.js";
import { identityOf, tlsOptions, type ServerTls } from "./tls.js";
import { WebDoor } from "./web/door.js";

export const DEFAULT_LISTEN = ["127.0.0.1:7420"] as const;

/** How long a drain may take, whatever clients do. */
export const DRAIN_MS = 10_000;

// Of that, what is kept for saying good-bye to clients.
const FAREWELL_MS = 1500;

/** What the doors need of the locks beside the service: LockManager has it. */
export interface ServedLocks extends LockStats {
  /** Takes no more acquires, and answers all who wait that they must ask elsewhere. */
  drain(): void;
}

export interface ServeOptions {
  readonly service: LockService;
  readonly holds: HoldHub;
  readonly locks: ServedLocks;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether the stores can be used; rejects with one line that says what is wrong. */
  readonly check: () => Promise<void>;
  /**
   * Where both doors are: `host:port`, `[::1]:port` or `unix:/path`; DEFAULT_LISTEN when not
   * given. With TLS, TCP addresses are gRPC's alone.
   */
  readonly listen?: readonly string[];
  /** Where the web door is alone. */
  readonly http?: readonly string[];
  /** For TCP addresses; unix sockets are protected by their mode, 0660. */
  readonly tls?: ServerTls;
  /** Addresses that other machines reach may be listened on without client certificates. */
  readonly insecure?: boolean;
  /** How dead connections are found; every 20 s, and given 10 s to answer, when not given. */
  readonly pings?: Pings;
}

/** A daemon that is up. */
export interface Server extends AsyncDisposable {
  /** Where it listens, with the ports that the system chose: first `listen`, then `http`. */
  readonly addresses: readonly string[];
  readonly httpAddresses: readonly string[];
  /**
   * Says that it is not ready, refuses new calls, sends waiters elsewhere, lets what runs
   * finish, and closes: within that time, whatever clients do. Nothing is released.
   */
  drain(withinMs?: number): Promise<void>;
}

/**
 * Opens the doors.
 * @throws LockError: "invalid-field" when an address or the TLS files are no good or not safe,
 *   "unavailable" when an address is in use; one line that names it and says what to do
 */
export async function serve(options: ServeOptions): Promise<Server> {
  const server = new Doors(options);
  try {
    await server.open();
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

class Doors implements Server {
  readonly #options: ServeOptions;
  readonly #calls: Calls;
  readonly #grpc: GrpcDoor;
  readonly #web: WebDoor;
  readonly #readiness: Readiness;
  readonly #loopDelay: LoopDelay;
  readonly #dropped: Tally;
  readonly #metrics: Metrics;
  readonly #main: Listener[] = [];
  readonly #http: Listener[] = [];
  #drained: Promise<void> | undefined;

  constructor(options: ServeOptions) {
    this.#options = options;
    const { service, holds, locks, clock, log, check, pings } = options;
    this.#calls = new Calls({ clock, log });
    this.#metrics = new Metrics(
      locks,
      holds,
      () => this.#calls.inFlight,
      () => this.#listeners.reduce((sum, { connections }) => sum + connections, 0),
    );
    const metrics = this.#metrics;
    this.#calls.report(metrics);
    this.#dropped = new Tally(clock, (connections) => {
      log.warn({ connections }, "connections were not taken: too many are open");
    });
    this.#loopDelay = new LoopDelay(clock, (seconds) => {
      metrics.delayed(seconds);
    });
    const admission = new Admission({
      clock,
      onChange: (isOverloaded, refused) => {
        if (isOverloaded) log.warn("overloaded: new acquires are refused");
        else log.warn({ refused }, "no longer overloaded");
      },
    });
    this.#grpc = new GrpcDoor({
      ...{ service, holds, calls: this.#calls, admission },
      ...(pings === undefined ? {} : { pings }),
    });
    this.#readiness = new Readiness({
      clock,
      check,
      onChange: (isReady, complaint) => {
        this.#grpc.setServing(isReady);
        if (complaint === undefined) log.info({ ready: isReady }, isReady ? "ready" : "not ready");
        else log.warn({ ready: isReady }, `not ready: ${complaint}`);
      },
    });
    const readiness = this.#readiness;
    this.#web = new WebDoor({ service, calls: this.#calls, admission, readiness, metrics });
  }

  get addresses(): readonly string[] {
    return this.#main.map(({ address }) => formatAddress(address));
  }

  get httpAddresses(): readonly string[] {
    return this.#http.map(({ address }) => formatAddress(address));
  }

  get #listeners(): readonly Listener[] {
    return [...this.#main, ...this.#http];
  }

  async open(): Promise<void> {
    const {
      listen: main = DEFAULT_LISTEN,
      http = [],
      tls,
      insecure = false,
      clock,
    } = this.#options;
    const mayBePublic = insecure || tls?.clientCa !== undefined;
    const withTls = (protocol: "h2" | "http/1.1"): ReturnType<typeof tlsOptions> | undefined =>
      tls === undefined ? undefined : tlsOptions(tls, protocol);

    const peeker = new Peeker(clock);
    const onMain = (socket: Socket, listener: Listener): void => {
      if (isTls(socket)) {
        this.#admit(socket, (identity) => {
          this.#grpc.take(socket, identity);
        });
        return;
      }
      peeker.take(socket, {
        http2: () => {
          this.#grpc.take(socket);
        },
        http1: () => {
          this.#web.take(socket, { entrance: listener, identity: undefined });
        },
      });
    };
    const onHttp = (socket: Socket, listener: Listener): void => {
      this.#admit(socket, (identity) => {
        this.#web.take(socket, { entrance: listener, identity });
      });
    };

    const onDrop = (): void => {
      this.#metrics.dropped();
      this.#dropped.add();
    };
    const shared = { mayBePublic, onDrop };
    for (const address of main) {
      const options = { ...shared, address, tls: withTls("h2"), onConnection: onMain };
      this.#main.push(await listen(options));
    }
    for (const address of http) {
      const options = { ...shared, address, tls: withTls("http/1.1"), onConnection: onHttp };
      this.#http.push(await listen(options));
    }
  }

  drain(withinMs = DRAIN_MS): Promise<void> {
    this.#drained ??= this.#drain(withinMs);
    return this.#drained;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.drain();
  }

  async #drain(withinMs: number): Promise<void> {
    const { holds, locks, log } = this.#options;
    log.info({ callsInFlight: this.#calls.inFlight }, "draining");
    this.#readiness.drain();
    this.#loopDelay.stop();
    this.#dropped.stop();
    this.#calls.drain();
    locks.drain();
    const farewellMs = Math.min(FAREWELL_MS, withinMs / 2);
    const untilMs = this.#options.clock.monotonicMs() + withinMs - farewellMs;
    const leftMs = await holds.drain(withinMs - farewellMs);
    await this.#calls.idle(untilMs - this.#options.clock.monotonicMs());
    for (const listener of this.#listeners) listener.stop();
    await this.#grpc.finish(Math.min(farewellMs, leftMs));
    await this.#grpc[Symbol.asyncDispose]();
    await this.#web[Symbol.asyncDispose]();
    for (const listener of this.#listeners) await listener[Symbol.asyncDispose]();
    log.info("stopped");
  }

  // With a client CA nobody passes without a name; a certificate that has none is refused.
  #admit(socket: Socket | TLSSocket, pass: (identity: string | undefined) => void): void {
    const { tls, log } = this.#options;
    if (!isTls(socket) || tls?.clientCa === undefined) {
      pass(undefined);
      return;
    }
    const identity = socket.authorized ? identityOf(socket.getPeerCertificate()) : undefined;
    if (identity === undefined) {
      log.warn({ peer: socket.remoteAddress }, "a client's certificate names nobody: refused");
      socket.destroy();
      return;
    }
    pass(identity);
  }
}

function isTls(socket: Socket | TLSSocket): socket is TLSSocket {
  return "getPeerCertificate" in socket;
}
