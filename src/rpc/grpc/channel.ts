import {
  create,
  fromBinary,
  isMessage,
  type DescMethodUnary,
  type Message,
} from "@bufbuild/protobuf";
import {
  Client,
  connectivityState as Connectivity,
  credentials,
  Metadata,
  status as Status,
  type ChannelCredentials,
  type ChannelOptions,
  type ClientUnaryCall,
  type ServiceError,
} from "@grpc/grpc-js";
import { LockService } from "../../gen/stormlock/v1/lock_pb.js";
import { formatAddress, isLoopback, parseAddress, type Address } from "../../lock/address.js";
import type { Clock } from "../../lock/clock.js";
import { LockError } from "../../lock/errors.js";
import type { HoldLink, LinkEvents } from "../../lock/link.js";
import { LIMITS } from "../../lock/limits.js";
import { fromStatus } from "../status.js";
import type { AnswerOf, CallOptions, RequestOf, Transport, UnaryMethod } from "../transport.js";
import { methodPath, serialize, tooLarge } from "./definition.js";
import { grpcHoldLink } from "./hold-link.js";
import { DETAILS } from "./trailer.js";

/** What a client needs to speak TLS, as PEM. */
export interface ClientTls {
  /** Who signs the daemon's certificate. Without it the system's authorities count. */
  readonly ca?: Buffer;
  /** The own certificate and its key: both or none. */
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

export interface GrpcTransportOptions {
  /** One daemon: `host:port`, `[::1]:port` or `unix:/path`. */
  readonly address: string;
  readonly tls?: ClientTls;
  readonly clock: Clock;
}

// A page of the longest names with all their labels.
const MOST_ANSWER_BYTES = 16 * 1024 * 1024;

// gRPC would double its pause up to two minutes: a daemon that restarts is back within one second.
const MOST_BACKOFF_MS = 1000;

// While something is asked: a call that waits in a queue has no other sign of life, and shall find
// out before long that it waits for nobody.
const PING_EVERY_MS = 5000;
const PING_TIMEOUT_MS = 5000;

// What accepts a connection and never speaks is no daemon: nothing has been sent to it by then.
const CONNECT_WITHIN_MS = 3000;

// grpc-js counts timeouts in 32 bits; a longer one would be over at once.
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * The way to one daemon, over gRPC. It connects with the first call, and again when needed; a
 * daemon that cannot be reached is "unavailable" at once.
 * @throws LockError "invalid-field" when the address or the PEM texts are no good
 */
export function grpcTransport(options: GrpcTransportOptions): Transport {
  return new GrpcTransport(options);
}

class GrpcTransport implements Transport {
  readonly #where: string;
  readonly #clock: Clock;
  readonly #connect: () => Client;
  readonly #client: Client;
  readonly #calls = new Set<ClientUnaryCall>();

  constructor({ address: text, tls, clock }: GrpcTransportOptions) {
    const address = checked(text);
    this.#where = formatAddress(address);
    this.#clock = clock;
    const target =
      address.kind === "unix" ? `unix:${address.path}` : `dns:///${formatAddress(address)}`;
    // A unix socket has no TLS on the other side either.
    const creds =
      tls === undefined || address.kind === "unix" ? credentials.createInsecure() : secure(tls);
    this.#connect = () => new Client(target, creds, channelOptions(address));
    this.#client = this.#connect();
  }

  unary<M extends UnaryMethod>(
    name: M,
    request: RequestOf<M>,
    { signal, timeoutMs }: CallOptions,
  ): Promise<AnswerOf<M>> {
    const method: DescMethodUnary = LockService.method[name];
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) throw this.#cancelled(signal);
      const message = isMessage(request, method.input)
        ? request
        : create(method.input, request as Record<string, unknown>);
      const bytes = serialize(method.input, message);
      if (bytes.length > LIMITS.messageBytes) throw tooLarge(bytes.length);
      const onAbort = (): void => {
        call.cancel();
      };
      let isUnconnected = false;
      const stopConnecting = this.#clock.after(CONNECT_WITHIN_MS, () => {
        if (this.#client.getChannel().getConnectivityState(false) === Connectivity.READY) return;
        isUnconnected = true;
        call.cancel();
      });
      const call = this.#client.makeUnaryRequest<Buffer, Message>(
        methodPath(method),
        (body) => body,
        (body) => fromBinary(method.output, body),
        bytes,
        new Metadata(),
        this.#deadline(timeoutMs),
        (error, response) => {
          stopConnecting();
          this.#calls.delete(call);
          signal?.removeEventListener("abort", onAbort);
          if (isUnconnected) reject(this.#unconnected());
          else if (error !== null) reject(this.#failure(error, signal, timeoutMs));
          else if (response === undefined) reject(this.#silence());
          else resolve(response as AnswerOf<M>);
        },
      );
      this.#calls.add(call);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  // Each on a connection of its own: who leaves a stream because nothing comes of it must not get
  // the next one on the same frozen connection.
  hold(events: LinkEvents): HoldLink {
    return grpcHoldLink({
      client: this.#connect(),
      clock: this.#clock,
      events,
      failure: (error) => this.#failure(error, undefined, undefined),
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const call of this.#calls) call.cancel();
    this.#client.close();
    return Promise.resolve();
  }

  // The only place that speaks grpc-js's wall-clock deadlines.
  #deadline(timeoutMs: number | undefined): { deadline?: number } {
    if (timeoutMs === undefined || timeoutMs > LONGEST_TIMEOUT_MS) return {};
    return { deadline: this.#clock.wallMs() + timeoutMs };
  }

  #failure(
    error: ServiceError,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
  ): LockError {
    if (signal?.aborted === true) return this.#cancelled(signal);
    const [encoded] = error.metadata.get(DETAILS);
    const details = typeof encoded === "string" ? undefined : encoded;
    return fromStatus(error.code, this.#words(error, details, timeoutMs), details, error);
  }

  // With details they are the daemon's own words; without, grpc-js's, which nobody else reads.
  #words(
    error: ServiceError,
    details: Uint8Array | undefined,
    timeoutMs: number | undefined,
  ): string {
    if (details !== undefined) return error.details;
    if (error.code === Status.UNAVAILABLE) {
      const why = error.details.replace(/\.? Resolution note: $/u, "");
      return `${this.#where} cannot be reached: ${why}`;
    }
    if (error.code === Status.DEADLINE_EXCEEDED && timeoutMs !== undefined) {
      return `${this.#where} has not answered within ${String(Math.round(timeoutMs))} ms`;
    }
    return `${this.#where}: ${error.details}`;
  }

  #cancelled(signal: AbortSignal): LockError {
    return new LockError("cancelled", `the call to ${this.#where} was cancelled`, {
      cause: signal.reason,
    });
  }

  // Not "unreachable": the connection may have come about in this very moment.
  #unconnected(): LockError {
    return new LockError(
      "unavailable",
      `${this.#where} cannot be reached: it has not answered the connection within ${String(CONNECT_WITHIN_MS)} ms`,
    );
  }

  #silence(): LockError {
    return new LockError("unavailable", `${this.#where} has ended the call without an answer`);
  }
}

function checked(text: string): Address {
  const address = parseAddress(text);
  if (address.kind !== "malformed") return address;
  throw new LockError(
    "invalid-field",
    `server ${JSON.stringify(text)} is no address: expected ${address.expected}`,
    { field: "server" },
  );
}

function secure({ ca, cert, key }: ClientTls): ChannelCredentials {
  try {
    return credentials.createSsl(ca ?? null, key ?? null, cert ?? null);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LockError(
      "invalid-field",
      `tls: CA, certificate and key cannot be used together: ${why}; give PEM files that belong to each other`,
      { field: "tls", cause },
    );
  }
}

function channelOptions(address: Address): ChannelOptions {
  return {
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": MOST_BACKOFF_MS,
    "grpc.dns_min_time_between_resolutions_ms": MOST_BACKOFF_MS,
    "grpc.keepalive_time_ms": PING_EVERY_MS,
    "grpc.keepalive_timeout_ms": PING_TIMEOUT_MS,
    "grpc.max_receive_message_length": MOST_ANSWER_BYTES,
    // Who retries must keep the lease id: that is the client's affair, not gRPC's.
    "grpc.enable_retries": 0,
    // Connections are nobody else's: closing this closes them.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.service_config_disable_resolution": 1,
    "grpc.enable_channelz": 0,
    // http_proxy is obeyed even for this very machine, where no proxy can lead.
    ...(isLoopback(address) ? { "grpc.enable_http_proxy": 0 } : {}),
  };
}
