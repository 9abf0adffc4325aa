import type { Clock } from "../../src/lock/clock.js";

interface Alarm {
  readonly atMs: number;
  readonly order: number;
  readonly wake: () => void;
}

/** A clock that stands still until it is told to go on. */
export class FakeClock implements Clock {
  #nowMs = 1_000_000;
  #order = 0;
  readonly #alarms = new Set<Alarm>();
  /** How far the wall clock is off the true time. */
  wallOffsetMs = 1_700_000_000_000;

  wallMs(): number {
    return this.#nowMs + this.wallOffsetMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  /** How many alarms are set: none may be left behind. */
  get pending(): number {
    return this.#alarms.size;
  }

  after(delayMs: number, wake: () => void): () => void {
    if (delayMs === Infinity) return () => undefined;
    const alarm = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, wake };
    this.#alarms.add(alarm);
    return () => {
      this.#alarms.delete(alarm);
    };
  }

  endOfTurn(work: () => void): void {
    setImmediate(work);
  }

  /** Lets everything happen that is due without time passing. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Lets time pass, and everything happen that falls due, in its order. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await this.settle();
    for (let next = this.#next(); next !== undefined && next.atMs <= untilMs; next = this.#next()) {
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      this.#alarms.delete(next);
      next.wake();
      await this.settle();
    }
    this.#nowMs = untilMs;
    await this.settle();
  }

  #next(): Alarm | undefined {
    let next: Alarm | undefined;
    for (const alarm of this.#alarms) {
      if (
        next === undefined ||
        alarm.atMs < next.atMs ||
        (alarm.atMs === next.atMs && alarm.order < next.order)
      ) {
        next = alarm;
      }
    }
    return next;
  }
}
