import type { Clock } from "../lock/clock.js";

// A hundred looks a second cost nothing that can be measured.
const EVERY_MS = 10;

/** Watches how late the event loop is, from now on. */
export class LoopDelay {
  readonly #clock: Clock;
  readonly #tell: (seconds: number) => void;
  #stop: () => void = () => undefined;

  constructor(clock: Clock, tell: (seconds: number) => void) {
    this.#clock = clock;
    this.#tell = tell;
    this.#look();
  }

  stop(): void {
    this.#stop();
  }

  #look(): void {
    const dueMs = this.#clock.monotonicMs() + EVERY_MS;
    this.#stop = this.#clock.after(EVERY_MS, () => {
      this.#tell(Math.max(0, this.#clock.monotonicMs() - dueMs) / 1000);
      this.#look();
    });
  }
}
