import type { HoldState } from "./belief.js";
import type { Clock } from "../clock.js";

/** Those who want to know what becomes of one lease. */
export class Watchers {
  readonly #clock: Clock;
  readonly #all = new Set<() => void>();
  #told: HoldState = "PENDING";

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls back with every change; returns what ends that. */
  add(changed: () => void): () => void {
    this.#all.add(changed);
    return () => {
      this.#all.delete(changed);
    };
  }

  /** Tells of a state that they have not heard of, or of a deadline that has moved. */
  tell(state: HoldState, hasMoved: boolean): void {
    if (!hasMoved && state === this.#told) return;
    this.#told = state;
    for (const changed of this.#all) callOut(this.#clock, changed);
  }
}

/**
 * Calls a stranger's function. What it throws is thrown again outside of all that keeps locks, as
 * by an event's listener: it is not hidden, and nothing here is left half done by it.
 */
export function callOut(clock: Clock, call: () => void): void {
  try {
    call();
  } catch (thrown) {
    clock.endOfTurn(() => {
      throw thrown;
    });
  }
}
