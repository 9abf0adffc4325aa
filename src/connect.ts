import type { Clock } from "./lock/clock.js";
import { LockError } from "./lock/errors.js";
import { LockClient } from "./rpc/client.js";
import { grpcTransport } from "./rpc/grpc/channel.js";
import { systemClock } from "./system-clock.js";

export interface ConnectOptions {
  /**
   * The daemons, in the order of preference: `host:port`, `[::1]:port` or `unix:/path`. All of
   * them must have the same store.
   */
  readonly servers: readonly string[];
  /**
   * Speak TLS. True when any of the three below is given; without `ca` the daemons' certificates
   * must come from an authority that Node knows (its own list, and NODE_EXTRA_CA_CERTS).
   */
  readonly tls?: boolean;
  /** Whose certificates the daemons must show, as PEM. */
  readonly ca?: string | Uint8Array;
  /** The own certificate and its key, as PEM: both or none. */
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
  /** Who asks, unless an acquire says otherwise. */
  readonly principal?: string;
  /** Milliseconds to go on asking when there is no definite answer; 10 000 by default. */
  readonly patienceMs?: number;
}

/**
 * A client of one or more daemons. It connects with the first call, and to the next daemon
 * when one does not answer. Dispose it to close its connections.
 *
 * ```ts
 * await using locks = connect({ servers: ["127.0.0.1:7420"] });
 * const got = await locks.acquire("deploy/prod", { ttlMs: 60_000 });
 * ```
 * @throws LockError "invalid-field" when an address or a PEM text is no good
 */
export function connect(options: ConnectOptions): LockClient {
  const { servers, ca, cert, key, principal, patienceMs } = options;
  if ((cert === undefined) !== (key === undefined)) {
    throw new LockError(
      "invalid-field",
      "a certificate needs its key, and a key its certificate: give both cert and key, or neither",
      { field: cert === undefined ? "cert" : "key" },
    );
  }
  const hasFiles = ca !== undefined || cert !== undefined;
  if (options.tls === false && hasFiles) {
    throw new LockError(
      "invalid-field",
      `tls is false, but ${ca === undefined ? "cert" : "ca"} is given: leave one of them out`,
      { field: "tls" },
    );
  }
  const isSecure = options.tls ?? hasFiles;
  const tls = {
    ...(ca === undefined ? {} : { ca: Buffer.from(ca) }),
    ...(cert === undefined ? {} : { cert: Buffer.from(cert) }),
    ...(key === undefined ? {} : { key: Buffer.from(key) }),
  };
  return new LockClient({
    transports: servers.map((address) =>
      grpcTransport({ address, clock: systemClock, ...(isSecure ? { tls } : {}) }),
    ),
    clock: wakefulClock,
    ...(principal === undefined ? {} : { principal }),
    ...(patienceMs === undefined ? {} : { patienceMs }),
  });
}

// A program that waits for an answer is not finished, even if between two attempts no
// connection is open: these timers keep it alive.
const wakefulClock: Clock = {
  ...systemClock,
  after(delayMs, wake) {
    // What never comes is not waited for.
    if (delayMs === Infinity) return () => undefined;
    const stay = setInterval(() => undefined, LONGEST_TIMEOUT_MS);
    const cancel = systemClock.after(delayMs, () => {
      clearInterval(stay);
      wake();
    });
    return () => {
      clearInterval(stay);
      cancel();
    };
  },
};

const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;
