import type { Clock } from "../clock.js";
import type { Lease } from "../lease.js";

// A holder's lease ends by the store's clock, which is asked no more often than this around its
// end, and no less often than the other: hints may be lost.
const SOONEST_ASK_MS = 20;
const LATEST_ASK_MS = 5000;

/** How soon to ask again for what somebody holds, in ms. */
export function askAgainMs({ remainingMs }: Lease): number {
  return Math.min(Math.max(remainingMs + 1, SOONEST_ASK_MS), LATEST_ASK_MS);
}

/** Rings once, when it is time to ask again; set anew it forgets what it was set to. */
export class Alarm {
  readonly #clock: Clock;
  readonly #ring: () => void;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  get isSet(): boolean {
    return this.#cancel !== undefined;
  }

  set(delayMs: number): void {
    this.#cancel?.();
    this.#cancel = this.#clock.after(delayMs, () => {
      this.#cancel = undefined;
      this.#ring();
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
