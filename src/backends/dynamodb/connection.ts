// The way to a table: requests that are bounded in number and in time, tried again while that
// may help.
//
//   N1. The SDK tries once; trying again is decided here, where it is known what an attempt may
//       have done.
//   N2. An attempt gets a part of its call's time, so that a connection which died in silence
//       costs an attempt and not the call.
//   N3. Every answer, refusals and errors too, tells the store's time.

import { setMaxListeners } from "node:events";
import { sleep, type Clock } from "../../lock/clock.js";
import { LockError } from "../../lock/errors.js";
import { ClockWatch } from "./clock-watch.js";
import { faultOf, isAboutTime, isMissing, isPassing, isRefusal } from "./faults.js";
import type * as Sdk from "./sdk.js";
import type { Options } from "./settings.js";
import { closedError, Slots, type Deadline } from "./slots.js";

/** As many requests at a time as keep a table busy, and no more than it takes calmly. */
const MOST_REQUESTS = 64;

const ATTEMPT_SHARE = 0.4;

// How far a clock may be off before what it signs is refused: five minutes, less what a Date header
// leaves open.
const SIGNED_FOR_MS = 298_000;

// Between two tries, at random up to a time that doubles, so that clients do not come in step.
const BACKOFF_MS = { first: 25, most: 500 };

/** One attempt at a request. It is made anew for every try, so that its times are fresh. */
export type Attempt<T> = (
  client: Sdk.DynamoDBClient,
  how: { readonly abortSignal: AbortSignal },
) => Promise<T>;

export class Connection implements AsyncDisposable {
  readonly sdk: typeof Sdk;
  readonly time: ClockWatch;
  readonly options: Options;
  readonly #client: Sdk.DynamoDBClient;
  readonly #clock: Clock;
  readonly #slots: Slots;
  readonly #closing = new AbortController();
  readonly #underWay = new Set<Promise<unknown>>();

  private constructor(sdk: typeof Sdk, options: Options, clock: Clock) {
    this.sdk = sdk;
    this.options = options;
    this.#clock = clock;
    this.#slots = new Slots(clock, MOST_REQUESTS);
    this.time = new ClockWatch(clock, options.place, options.maxClockSkewMs);
    this.#client = clientOf(sdk, options);
    setMaxListeners(0, this.#closing.signal); // Each request that waits has one.
    this.#readDates();
  }

  /** Nothing is asked yet. Asynchronous, since the SDK is slow to load. */
  static async open(options: Options, clock: Clock): Promise<Connection> {
    return new Connection(await import("./sdk.js"), options, clock);
  }

  /** By when a call that begins now has to be over. */
  deadline(withinMs = this.options.timeoutMs): Deadline {
    return { atMs: this.#clock.monotonicMs() + withinMs, closing: this.#closing.signal };
  }

  /**
   * Does the whole of a call.
   * @throws LockError "unavailable", at once when this has been closed
   */
  async call<T>(work: (deadline: Deadline) => Promise<T>, withinMs?: number): Promise<T> {
    if (this.#closing.signal.aborted) throw closedError(this.options.place);
    const working = work(this.deadline(withinMs));
    this.#underWay.add(working);
    try {
      return await working;
    } catch (thrown) {
      throw this.fault(thrown);
    } finally {
      this.#underWay.delete(working);
    }
  }

  /**
   * Sends one request, again when that may help.
   * @throws LockError "unavailable"; or, as the SDK has it, that the condition does not hold or
   *   that there is no such table
   */
  async send<T>(deadline: Deadline, attempt: Attempt<T>): Promise<T> {
    let backoffMs = BACKOFF_MS.first;
    let last: unknown;
    for (;;) {
      try {
        return await this.#once(deadline, attempt);
      } catch (thrown) {
        if (thrown instanceof LockError) throw last === undefined ? thrown : this.fault(last);
        if (isRefusal(thrown) || isMissing(thrown)) throw thrown;
        if (!isPassing(thrown)) throw this.fault(thrown);
        // Of one that the call's end cut off nothing is known: what was said before says more.
        const isCutOff = this.#clock.monotonicMs() >= deadline.atMs;
        if (last === undefined || !isCutOff) last = thrown; // N1
      }
      const leftMs = deadline.atMs - this.#clock.monotonicMs();
      const pauseMs = Math.random() * backoffMs;
      if (pauseMs >= leftMs) throw this.fault(last);
      await this.pause(pauseMs, deadline);
      backoffMs = Math.min(backoffMs * 2, BACKOFF_MS.most);
    }
  }

  /** Whatever was thrown on the way, as a LockError "unavailable". */
  fault(thrown: unknown): LockError {
    const isClocks = isAboutTime(thrown) ? this.time.refusal(SIGNED_FOR_MS) : undefined;
    return isClocks ?? faultOf(thrown, this.options.place);
  }

  /**
   * Waits a little, within the call's time.
   * @throws LockError "unavailable" when that is over or the client is closed
   */
  async pause(pauseMs: number, { atMs, closing }: Deadline): Promise<void> {
    const { place } = this.options;
    if (this.#clock.monotonicMs() + pauseMs >= atMs) throw faultOf({ name: "TimeoutError" }, place);
    try {
      await sleep(this.#clock, pauseMs, closing);
    } catch {
      throw closedError(place);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled(this.#underWay);
    this.#client.destroy();
  }

  async #once<T>(deadline: Deadline, attempt: Attempt<T>): Promise<T> {
    const giveBack = await this.#slots.take(deadline, this.options.place);
    const limit = new AbortController();
    const leftMs = deadline.atMs - this.#clock.monotonicMs();
    const wholeMs = this.options.timeoutMs * ATTEMPT_SHARE; // N2
    const attemptMs = Math.min(leftMs, wholeMs);
    const cancel = this.#clock.after(attemptMs, () => {
      limit.abort();
    });
    try {
      return await attempt(this.#client, { abortSignal: limit.signal });
    } finally {
      cancel();
      giveBack(!limit.signal.aborted || attemptMs < wholeMs);
    }
  }

  // N3. Before the answer is read, since that is where errors are thrown.
  #readDates(): void {
    this.#client.middlewareStack.add(
      (next) => async (args) => {
        const sentAtMs = this.#clock.monotonicMs();
        const result = await next(args);
        const { headers } = result.response as { headers?: Record<string, string> };
        this.time.note(headers?.["date"], sentAtMs, this.#clock.monotonicMs());
        return result;
      },
      { step: "deserialize", priority: "low", name: "readStoreTime" },
    );
  }
}

function clientOf(sdk: typeof Sdk, options: Options): Sdk.DynamoDBClient {
  const { endpoint, region, profile, credentials, timeoutMs } = options;
  const agent = { keepAlive: true, maxSockets: MOST_REQUESTS };
  return inSilence(
    () =>
      new sdk.DynamoDBClient({
        maxAttempts: 1, // N1
        ...(endpoint === undefined ? {} : { endpoint }),
        ...(region === undefined ? {} : { region }),
        ...(profile === undefined ? {} : { profile }),
        ...(credentials === undefined ? {} : { credentials }),
        requestHandler: {
          connectionTimeout: timeoutMs * ATTEMPT_SHARE,
          httpAgent: agent,
          httpsAgent: agent,
        },
      }),
  );
}

// The SDK warns everybody on an older Node that its versions to come will want a newer one. Which
// version is used is decided here, and there is nothing that an operator could do.
const SILENCE = "AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED";

function inSilence<T>(make: () => T): T {
  const before = process.env[SILENCE];
  process.env[SILENCE] = "true";
  try {
    return make();
  } finally {
    if (before === undefined) Reflect.deleteProperty(process.env, SILENCE);
    else process.env[SILENCE] = before;
  }
}
