import type { Clock } from "../lock/clock.js";

// What happens all the time is told of once in so long.
const PERIOD_MS = 10_000;

/** Tells of what may happen a thousand times a second: the first time at once, then all together. */
export class Tally {
  readonly #clock: Clock;
  readonly #tell: (count: number) => void;
  #count = 0;
  #stopWaiting: (() => void) | undefined;

  constructor(clock: Clock, tell: (count: number) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  add(): void {
    this.#count += 1;
    if (this.#stopWaiting === undefined) this.#tellNow();
  }

  /** Stops the clock; for the end of the server. */
  stop(): void {
    this.#stopWaiting?.();
  }

  #tellNow(): void {
    this.#tell(this.#count);
    this.#count = 0;
    this.#stopWaiting = this.#clock.after(PERIOD_MS, () => {
      this.#stopWaiting = undefined;
      if (this.#count > 0) this.#tellNow();
    });
  }
}
