// What happens to every call on its way through grpc-js.
//
//   W1. Every call that is opened is ended: by the status that was sent, or as cancelled.
//   W2. A call that is refused never reaches its handler.
//   W3. A request that has begun is complete in time, or its stream is closed: headers alone
//       would hold a stream, and its memory, for ever. (A Hold stream is complete from its start,
//       and its own door ends it.)

import type { Http2Stream } from "node:http2";
import { constants } from "node:http2";
import {
  status as Status,
  type ServerDuplexStream,
  type ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
} from "@grpc/grpc-js";
import type { Call, Calls } from "../calls.js";
import { tooLarge } from "./definition.js";
import { failedStatus } from "./trailer.js";

// How long a request may take from its headers to its end.
const REQUEST_MS = 10_000;

type Listener = Parameters<ServerInterceptingCallInterface["start"]>[0];

/** Watches over calls; its interceptor goes into the server's options. */
export class CallWatch {
  readonly #calls: Calls;
  // Requests that are not complete, in the order in which they began.
  readonly #incomplete = new Map<ServerInterceptingCallInterface, number>();
  #stopSweeping: (() => void) | undefined;

  constructor(calls: Calls) {
    this.#calls = calls;
  }

  /**
   * grpc-js answers some calls by itself (too large, too late), below every interceptor that is
   * stacked on a call. So this one hooks into the call's own methods instead.
   */
  readonly interceptor: ServerInterceptor = (method, call) => {
    const record = this.#calls.open(method.path, peerOf(call));
    const start = call.start.bind(call);
    const sendStatus = call.sendStatus.bind(call);
    let isComplete = method.requestStream;

    call.sendStatus = (status) => {
      // Nobody here says so but grpc-js, of a message beyond the limit.
      const isTooLarge = status.code === Status.RESOURCE_EXHAUSTED;
      const better = isTooLarge ? failedStatus(tooLarge(undefined)) : status;
      record.end(better.code, better.details);
      sendStatus(better);
      if (!isComplete) this.#giveUp(call);
    };

    call.start = (listener) => {
      const refusal = this.#calls.refusal(record);
      if (refusal !== undefined) {
        isComplete = true;
        call.sendStatus(failedStatus(refusal));
        return;
      }
      const watched = watchedListener(listener, record, () => {
        isComplete = true;
        this.#incomplete.delete(call);
      });
      if (!isComplete) this.#expect(call);
      start(watched);
      if (!watched.hasStarted) watched.onCancel(); // the caller had gone already: W1
    };
    // The class would add a layer to every call; grpc-js asks for no more than its methods.
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment
    return call as ServerInterceptingCall;
  };

  /** Stops the clock; for the end of the server. */
  stop(): void {
    this.#stopSweeping?.();
    this.#stopSweeping = undefined;
    this.#incomplete.clear();
  }

  #expect(call: ServerInterceptingCallInterface): void {
    const { clock } = this.#calls;
    this.#incomplete.set(call, clock.monotonicMs() + REQUEST_MS);
    this.#stopSweeping ??= clock.after(REQUEST_MS, () => {
      this.#sweep();
    });
  }

  // One timer for all: they fall due in the order in which they began.
  #sweep(): void {
    const { clock } = this.#calls;
    this.#stopSweeping = undefined;
    const nowMs = clock.monotonicMs();
    for (const [call, dueMs] of this.#incomplete) {
      if (dueMs > nowMs) {
        this.#stopSweeping = clock.after(dueMs - nowMs, () => {
          this.#sweep();
        });
        return;
      }
      this.#incomplete.delete(call);
      call.sendStatus({
        code: Status.DEADLINE_EXCEEDED,
        details: `the request was not complete after ${String(REQUEST_MS / 1000)} s`,
      });
    }
  }

  // The answer has been sent, but a caller who never ends its request would keep the stream.
  #giveUp(call: ServerInterceptingCallInterface): void {
    this.#incomplete.delete(call);
    streamOf(call)?.close(constants.NGHTTP2_NO_ERROR);
  }
}

interface WatchedListener extends Listener {
  readonly hasStarted: boolean;
}

function watchedListener(
  listener: Listener,
  record: Call,
  onComplete: () => void,
): WatchedListener {
  return {
    hasStarted: false,
    onReceiveMetadata(metadata) {
      (this as { hasStarted: boolean }).hasStarted = true;
      listener.onReceiveMetadata(metadata);
    },
    onReceiveMessage(message) {
      record.received(message);
      listener.onReceiveMessage(message);
    },
    onReceiveHalfClose() {
      onComplete();
      listener.onReceiveHalfClose();
    },
    onCancel() {
      onComplete();
      record.end(Status.CANCELLED, "the caller has gone");
      listener.onCancel();
    },
  };
}

/** How a log names the other side. */
function peerOf(call: ServerInterceptingCallInterface): string {
  const peer = call.getPeer();
  return peer === "unknown" ? "unix" : peer;
}

/** Takes a stream off the wire, whether or not its caller has read how it ended. */
export function cutOff(call: ServerDuplexStream<unknown, unknown>): void {
  const { call: inner } = call as unknown as { readonly call?: ServerInterceptingCallInterface };
  const stream = inner === undefined ? undefined : streamOf(inner);
  if (stream?.closed === false) stream.close(constants.NGHTTP2_CANCEL);
}

// Not in the types. Without it a stream ends when its caller likes.
function streamOf(call: ServerInterceptingCallInterface): Http2Stream | undefined {
  return (call as { readonly stream?: Http2Stream }).stream;
}
