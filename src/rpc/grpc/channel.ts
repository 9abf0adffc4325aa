import {
  create,
  fromBinary,
  isMessage,
  type DescMethodUnary,
  type Message,
} from "@bufbuild/protobuf";
import {
  connectivityState as Connectivity,
  Metadata,
  status as Status,
  type Client,
  type ClientUnaryCall,
  type ServiceError,
} from "@grpc/grpc-js";
import { LockService } from "../../gen/stormlock/v1/lock_pb.js";
import type { Clock } from "../../lock/clock.js";
import { LockError } from "../../lock/errors.js";
import type { HoldLink, LinkEvents } from "../../lock/holder/link.js";
import { LIMITS } from "../../lock/limits.js";
import { onAbort } from "../../lock/on-abort.js";
import { fromStatus } from "../status.js";
import type { AnswerOf, CallOptions, RequestOf, Transport, UnaryMethod } from "../transport.js";
import { methodPath, serialize, tooLarge } from "./definition.js";
import { dial, unreachableWords, type ClientTls } from "./dial.js";
import { grpcHoldLink } from "./hold-link.js";
import { DETAILS } from "./trailer.js";

export interface GrpcTransportOptions {
  /** One daemon: `host:port`, `[::1]:port` or `unix:/path`. */
  readonly address: string;
  readonly tls?: ClientTls;
  readonly clock: Clock;
}

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
    const { where, connect } = dial(text, tls);
    this.#where = where;
    this.#clock = clock;
    this.#connect = connect;
    this.#client = connect();
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
          stopListening?.();
          if (isUnconnected) reject(this.#unconnected());
          else if (error !== null) reject(this.#failure(error, signal, timeoutMs));
          else if (response === undefined) reject(this.#silence());
          else resolve(response as AnswerOf<M>);
        },
      );
      this.#calls.add(call);
      const stopListening =
        signal &&
        onAbort(signal, () => {
          call.cancel();
        });
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
      return unreachableWords(this.#where, error.details);
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
