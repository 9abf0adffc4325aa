import type { Clock } from "../clock.js";
import { deferred } from "../deferred.js";
import type { LockError } from "../errors.js";
import type { HoldOutcome, HoldWish } from "./holding.js";
import type { Lease } from "../lease.js";
import { onAbort } from "../on-abort.js";
import { callOut } from "./watchers.js";

/** Who has asked for a lock, and waits to hear what comes of it. Only the first answer counts. */
export class Caller {
  readonly #wish: HoldWish;
  readonly #clock: Clock;
  readonly #outcome = deferred<HoldOutcome>();
  #hasQueued = false;
  #stopListening: (() => void) | undefined;

  constructor(wish: HoldWish, clock: Clock) {
    this.#wish = wish;
    this.#clock = clock;
  }

  get outcome(): Promise<HoldOutcome> {
    return this.#outcome.promise;
  }

  /** Whether the wait goes on although nobody answers: a place in a queue is not given up for that. */
  get outlastsSilence(): boolean {
    return this.#hasQueued || this.#wish.outlastsSilence === true;
  }

  /** Calls back when he gives up, at once if he has, and not after he has had his answer. */
  onGivingUp(givesUp: () => void): void {
    const { signal } = this.#wish;
    if (signal?.aborted === true) givesUp();
    else if (signal !== undefined) this.#stopListening = onAbort(signal, givesUp);
  }

  tellPlace(position: number, holder: Lease | undefined): void {
    this.#hasQueued = true;
    callOut(this.#clock, () => this.#wish.onQueued?.(position, holder));
  }

  tellSilence(error: LockError): void {
    callOut(this.#clock, () => this.#wish.onSilence?.(error));
  }

  answer(outcome: HoldOutcome): void {
    this.#stopListening?.();
    this.#outcome.resolve(outcome);
  }

  refuse(error: LockError): void {
    this.#stopListening?.();
    this.#outcome.reject(error);
  }
}
