import { sleep, type Clock } from "../lock/clock.js";
import { asLockError, LockError } from "../lock/errors.js";
import type { UnaryTransport } from "./transport.js";

/** How long one attempt may take at the most beyond its wait, before another address is tried. */
export const ATTEMPT_MS = 5000;

// How soon the next round begins when no address has answered: doubled from the first to the second.
const FIRST_BACKOFF_MS = 50;
const LAST_BACKOFF_MS = 1000;

// Who was refused because too many ask does not come back sooner than that, nor at the same moment
// as all the others who were: between a half and the whole of the pause.
const OVERLOADED_BACKOFF_MS = 250;

export interface AttemptOptions {
  readonly signal?: AbortSignal;
  /** How long it may take; what waits in a queue may take that long on top. */
  readonly timeoutMs: number;
}

export interface AskerOptions {
  /** In the order of preference. */
  readonly transports: readonly UnaryTransport[];
  readonly clock: Clock;
  readonly random: () => number;
  readonly patienceMs: number;
}

/** Asks one address after the other until there is a definite answer (C1 in unary-client.ts). */
export class Asker {
  readonly #transports: readonly UnaryTransport[];
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #patienceMs: number;
  // Who has answered last is asked first.
  #preferred = 0;
  #isClosed = false;

  constructor({ transports, clock, random, patienceMs }: AskerOptions) {
    this.#transports = transports;
    this.#clock = clock;
    this.#random = random;
    this.#patienceMs = patienceMs;
  }

  /** What is being asked ends with the transports; nothing new is. */
  close(): void {
    this.#isClosed = true;
  }

  /**
   * No address has more than its share of the patience that is left in a round, so that each has
   * its turn: one that is slow, or accepts and never answers, does not use up the others' time.
   * @param waitMs how long an answer may take by itself, beyond all patience
   * @throws LockError when it is definite, cancelled, or patience has run out
   */
  async ask<T>(
    attempt: (transport: UnaryTransport, options: AttemptOptions) => Promise<T>,
    waitMs: number,
    signal: AbortSignal | undefined,
    patienceMs = this.#patienceMs,
  ): Promise<T> {
    const giveUpAtMs = this.#clock.monotonicMs() + waitMs + patienceMs;
    let backoffMs = FIRST_BACKOFF_MS;
    for (let tries = 1; ; tries++) {
      if (this.#isClosed) throw new LockError("cancelled", "this client is closed");
      const transport = this.#transports[this.#preferred % this.#transports.length];
      if (transport === undefined) throw new LockError("internal", "no server address");
      try {
        const leftMs = giveUpAtMs - this.#clock.monotonicMs();
        const turnsLeft = this.#transports.length - ((tries - 1) % this.#transports.length);
        const timeoutMs = Math.min(ATTEMPT_MS, leftMs / turnsLeft);
        return await attempt(transport, { timeoutMs, ...(signal === undefined ? {} : { signal }) });
      } catch (thrown) {
        const error = asLockError(thrown);
        if (error.isDefinite || error.kind === "internal" || signal?.aborted === true) throw error;
        const isOverloaded = error.kind === "overloaded";
        if (isOverloaded) backoffMs = Math.max(backoffMs, OVERLOADED_BACKOFF_MS);
        if (this.#clock.monotonicMs() + backoffMs >= giveUpAtMs) throw error;
        this.#preferred += 1;
        // A round over all addresses comes without a pause; the next one waits.
        if (tries % this.#transports.length === 0) {
          const share = isOverloaded ? (1 + this.#random()) / 2 : 1;
          await this.#pause(backoffMs * share, signal);
          backoffMs = Math.min(backoffMs * 2, LAST_BACKOFF_MS);
        }
      }
    }
  }

  async #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    try {
      await sleep(this.#clock, ms, signal);
    } catch (thrown) {
      throw new LockError("cancelled", "the caller gave up asking", { cause: thrown });
    }
  }
}
