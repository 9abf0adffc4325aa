import type { Clock } from "../../lock/clock.js";
import { StoreFault } from "./faults.js";

/** How long a call may still take. Everything that it does shares one. */
export class Limit {
  readonly #clock: Clock;
  readonly #endMs: number;
  /** What there was at the beginning. */
  readonly wholeMs: number;

  constructor(clock: Clock, wholeMs: number) {
    this.#clock = clock;
    this.wholeMs = wholeMs;
    this.#endMs = clock.monotonicMs() + wholeMs;
  }

  get leftMs(): number {
    return Math.max(0, this.#endMs - this.#clock.monotonicMs());
  }

  fault(): StoreFault {
    return new StoreFault({ kind: "slow", afterMs: this.wholeMs });
  }

  /** Runs `late` at the limit. @returns what calls it off */
  at(late: () => void): () => void {
    return this.#clock.after(this.leftMs, late);
  }

  /** @throws StoreFault when the work takes longer; it is then left to itself */
  async within<T>(work: Promise<T>): Promise<T> {
    let stop: () => void = () => undefined;
    const late = new Promise<never>((_resolve, reject) => {
      stop = this.at(() => {
        reject(this.fault());
      });
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      stop();
    }
  }
}
