import { FakeClock } from "./fake-clock.js";

/** A clock on which work takes time. */
export class BusyClock extends FakeClock {
  #workedMs = 0;

  override monotonicMs(): number {
    return super.monotonicMs() + this.#workedMs;
  }

  work(ms: number): void {
    this.#workedMs += ms;
  }
}
