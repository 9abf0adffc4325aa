import type { Clock } from "../../lock/clock.js";

/** Until when a call may go on. */
export class Limit {
  readonly #clock: Clock;
  readonly #endMs: number;

  constructor(clock: Clock, ms: number) {
    this.#clock = clock;
    this.#endMs = clock.monotonicMs() + ms;
  }

  /** The later of some. */
  static latest(limits: readonly [Limit, ...Limit[]]): Limit {
    return limits.reduce((a, b) => (a.#endMs >= b.#endMs ? a : b));
  }

  get leftMs(): number {
    return Math.max(0, this.#endMs - this.#clock.monotonicMs());
  }
}
