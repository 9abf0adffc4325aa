import {
  constants,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
  type ServerStreamResponseOptions,
} from "node:http2";
import type { Clock } from "../../lock/clock.js";
import type { LockError } from "../../lock/errors.js";
import { failedStatus } from "./trailer.js";

// Node's types do not know that it leaves the date out.
const ANSWER = { endStream: true, sendDate: false } as ServerStreamResponseOptions;

// How long a caller may take to end the request that has been answered already.
const END_WITHIN_MS = 10_000;

/**
 * Calls that are refused before anything is done for them. Under overload that is most of them:
 * one answer, made once, in one frame, without a layer of gRPC's in between.
 */
export class RefusedStreams {
  readonly #clock: Clock;
  readonly #headers: OutgoingHttpHeaders;
  // In the order in which they were refused, with when they are due to be over.
  readonly #open = new Map<ServerHttp2Stream, number>();
  #stopSweeping: (() => void) | undefined;

  constructor(clock: Clock, error: LockError) {
    this.#clock = clock;
    const { code, details, metadata } = failedStatus(error);
    this.#headers = {
      [constants.HTTP2_HEADER_STATUS]: constants.HTTP_STATUS_OK,
      [constants.HTTP2_HEADER_CONTENT_TYPE]: "application/grpc+proto",
      "grpc-status": code,
      "grpc-message": encodeURI(details),
      ...metadata.toHttp2Headers(),
    };
  }

  refuse(stream: ServerHttp2Stream): void {
    stream.respond(this.#headers, ANSWER);
    this.#open.set(stream, this.#clock.monotonicMs() + END_WITHIN_MS);
    stream.once("close", () => this.#open.delete(stream));
    this.#stopSweeping ??= this.#clock.after(END_WITHIN_MS, this.#sweep);
  }

  /** Stops the clock; for the end of the server. */
  stop(): void {
    this.#stopSweeping?.();
    this.#stopSweeping = undefined;
    this.#open.clear();
  }

  // One timer for all. Headers without an end would hold a stream, and its memory, for ever.
  readonly #sweep = (): void => {
    this.#stopSweeping = undefined;
    const nowMs = this.#clock.monotonicMs();
    for (const [stream, dueMs] of this.#open) {
      if (dueMs > nowMs) {
        this.#stopSweeping = this.#clock.after(dueMs - nowMs, this.#sweep);
        return;
      }
      this.#open.delete(stream);
      stream.close(constants.NGHTTP2_NO_ERROR);
    }
  };
}
