import type { HoldState } from "./belief.js";

/** Those who want to know what becomes of one lease. */
export class Watchers {
  readonly #all = new Set<() => void>();
  #told: HoldState = "PENDING";

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
    for (const changed of this.#all) changed();
  }
}
