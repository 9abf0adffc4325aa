import type { Clock } from "./clock.js";
import type { Lease } from "./lease.js";
import type { WaitQueue } from "./queue.js";

/** A waiter is told of its place at most this often. */
const ANNOUNCE_EVERY_MS = 1000;

/** Tells those who queue where they stand: soon, and at most once a second for all that has
 *  changed until then. */
export class Announcer {
  readonly #clock: Clock;
  readonly #queue: WaitQueue;
  #announcedAtMs = -Infinity;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, queue: WaitQueue) {
    this.#clock = clock;
    this.#queue = queue;
  }

  soon(holder: () => Lease | undefined): void {
    if (this.#cancel !== undefined || this.#queue.size === 0) return;
    const nextAtMs = this.#announcedAtMs + ANNOUNCE_EVERY_MS;
    const waitMs = Math.max(0, nextAtMs - this.#clock.monotonicMs());
    this.#cancel = this.#clock.after(waitMs, () => {
      this.#cancel = undefined;
      this.#announcedAtMs = this.#clock.monotonicMs();
      this.#queue.announce(holder());
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
