import type { HostMoment, HostTime } from "../../cmd/stormlock/hold/host-time.js";

/** The time of a host that stands still until it is told to go on. */
export class FakeHostTime implements HostTime {
  #now: HostMoment = { hrMs: 5_000_000, uptimeMs: 8_000_000 };
  #timers: { readonly atMs: number; readonly wake: () => void }[] = [];
  /** What lies unread in a pipe while the process did not run. */
  unread: (() => void)[] = [];

  now(): HostMoment {
    return this.#now;
  }

  in(ms: number): HostMoment {
    return { hrMs: this.#now.hrMs + ms, uptimeMs: this.#now.uptimeMs + ms };
  }

  get timers(): number {
    return this.#timers.length;
  }

  after(delayMs: number, wake: () => void): () => void {
    const timer = { atMs: this.#now.hrMs + delayMs, wake };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }

  afterPoll(work: () => void): void {
    for (const read of this.unread.splice(0)) read();
    work();
  }

  /** The time goes on, and the process runs all the while. */
  advance(ms: number): void {
    const untilMs = this.#now.hrMs + ms;
    for (;;) {
      const next = this.#timers.toSorted((one, other) => one.atMs - other.atMs)[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#pass(Math.max(0, next.atMs - this.#now.hrMs));
      this.#timers = this.#timers.filter((one) => one !== next);
      next.wake();
    }
    this.#pass(untilMs - this.#now.hrMs);
  }

  /** The process does not run for a while, and is late then. */
  stopFor(ms: number): void {
    this.#pass(ms);
    this.advance(0);
  }

  /** The host sleeps: one of its clocks does, too, and so do timers. */
  suspendFor(ms: number): void {
    this.#now = { ...this.#now, uptimeMs: this.#now.uptimeMs + ms };
  }

  #pass(ms: number): void {
    this.#now = this.in(ms);
  }
}
