import type { Duration } from "@bufbuild/protobuf/wkt";
import { asLockError, LockError } from "../lock/errors.js";
import type { Clock } from "../lock/clock.js";
import type { HoldLink, LinkEvents } from "../lock/holder/link.js";
import { onAbort } from "../lock/on-abort.js";
import type { HoldHub } from "../lock/daemon/hold-hub.js";
import type { CallContext, LockService } from "./service.js";
import type { AnswerOf, CallOptions, RequestOf, Transport, UnaryMethod } from "./transport.js";

type Handler = (request: never, context: CallContext) => Promise<unknown>;

// What a request has of these when it does not say. (That every request has all of them harms
// nobody: nothing is encoded here.)
const BLANK = {
  ...{ resource: "", leaseId: "", principal: "", reason: "", labels: {} },
  ...{ prefix: "", pageSize: 0, pageToken: "" },
};

function durationsOf({ ttl, wait }: RequestOf<"acquire">): Record<string, Duration | undefined> {
  const whole = (given: typeof ttl): Duration | undefined =>
    given && { seconds: 0n, nanos: 0, ...given, $typeName: "google.protobuf.Duration" };
  return { ttl: whole(ttl), wait: whole(wait) };
}

/** The door for a command without a daemon: the same service, no network in between. */
export class InProcessTransport implements Transport {
  readonly #clock: Clock;
  readonly #holds: HoldHub;
  readonly #handlers: Readonly<Record<UnaryMethod, Handler>>;
  // One for each call that is under way. (AbortSignal.any would leave something behind at the
  // signals that outlive the call, for as long as they live.)
  readonly #calls = new Set<AbortController>();
  #isClosed = false;

  constructor(service: LockService, holds: HoldHub, clock: Clock) {
    this.#clock = clock;
    this.#holds = holds;
    this.#handlers = {
      acquire: service.acquire.bind(service),
      renew: service.renew.bind(service),
      release: service.release.bind(service),
      current: service.current.bind(service),
      isHeld: service.isHeld.bind(service),
      list: service.list.bind(service),
    };
  }

  async unary<M extends UnaryMethod>(
    method: M,
    request: RequestOf<M>,
    { signal, timeoutMs }: CallOptions,
  ): Promise<AnswerOf<M>> {
    if (this.#isClosed) throw new LockError("cancelled", "the locks are closed");
    const call = new AbortController();
    const state = { isTooLate: false };
    const stop = this.#clock.after(timeoutMs ?? Infinity, () => {
      state.isTooLate = true;
      call.abort();
    });
    if (signal?.aborted === true) call.abort(signal.reason);
    const stopListening =
      signal &&
      onAbort(signal, () => {
        call.abort(signal.reason);
      });
    this.#calls.add(call);
    try {
      const context = { signal: call.signal, identity: undefined };
      const message = { ...BLANK, ...request, ...durationsOf(request as RequestOf<"acquire">) };
      return (await this.#handlers[method](message as never, context)) as AnswerOf<M>;
    } catch (thrown) {
      if (!state.isTooLate) throw thrown;
      throw new LockError("timed-out", `no answer within ${String(timeoutMs)} ms`, {
        cause: thrown,
      });
    } finally {
      this.#calls.delete(call);
      stopListening?.();
      stop();
    }
  }

  // What is said is heard in a later turn, as over a network.
  hold(events: LinkEvents): HoldLink {
    const state = { isOpen: true };
    const later = (work: () => void): void => {
      this.#clock.endOfTurn(() => {
        if (state.isOpen) work();
      });
    };
    const fail = (error: LockError): void => {
      state.isOpen = false;
      this.#holds.close(session);
      events.closed(error);
    };
    const session = this.#holds.open(
      undefined,
      (message) => {
        later(() => {
          events.heard(message);
        });
      },
      () => {
        later(() => {
          fail(new LockError("unavailable", "the locks are being closed"));
        });
      },
    );
    return {
      say: (message) => {
        later(() => {
          try {
            session.hear(message);
          } catch (thrown) {
            fail(asLockError(thrown));
          }
        });
      },
      close: () => {
        state.isOpen = false;
        this.#holds.close(session);
      },
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const call of this.#calls) call.abort();
    return Promise.resolve();
  }
}
