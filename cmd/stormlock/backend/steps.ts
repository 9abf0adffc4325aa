import { sleep, type Clock } from "../../../src/lock/clock.js";
import { LockError } from "../../../src/lock/errors.js";
import type { Findings } from "./findings.js";

// A store keeps to a limit of its own, which can be set to a minute; a plug-in may have none.
const MOST_MS = 70_000;

/** What is tried with a backend, one after the other, each with the time that it took. */
export class Steps {
  readonly #findings: Findings;
  readonly #signal: AbortSignal;
  readonly #clock: Clock;
  #current = "open";

  constructor(findings: Findings, signal: AbortSignal, clock: Clock) {
    this.#findings = findings;
    this.#signal = signal;
    this.#clock = clock;
  }

  /** The last one that was tried. */
  get current(): string {
    return this.#current;
  }

  /**
   * Tries one.
   * @param tell what a success is called; it throws when it was none
   */
  async take<T>(step: string, act: () => Promise<T>, tell: (result: T) => string): Promise<T> {
    this.#signal.throwIfAborted();
    this.#current = step;
    const beganMs = this.#clock.monotonicMs();
    const result = await this.inTime(act(), this.#signal);
    const ms = this.#clock.monotonicMs() - beganMs;
    this.#findings.add({ level: "ok", step, message: tell(result), ms });
    return result;
  }

  /** Something to know of the step that was tried last. */
  warn(message: string): void {
    this.#findings.add({ level: "warning", step: this.#current, message });
  }

  /** Waits, but not for ever. */
  async inTime<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
    const done = new AbortController();
    const signals = signal === undefined ? [done.signal] : [done.signal, signal];
    const late = sleep(this.#clock, MOST_MS, AbortSignal.any(signals)).then(() => {
      throw new LockError(
        "timed-out",
        `${this.#current}: no answer within ${String(MOST_MS / 1000)} s`,
      );
    });
    late.catch(() => undefined);
    try {
      return await Promise.race([work, late]);
    } finally {
      done.abort();
    }
  }
}
