import type { Clock } from "../clock.js";
import type { Lease } from "../lease.js";
import type { News, WaitQueue } from "./queue.js";

/** A waiter is told of its place at most this often. */
const ANNOUNCE_EVERY_MS = 1000;

// As many are told in one turn of the event loop as take a millisecond or two: thousands may
// wait, and grants and renewals wait behind what is said in one go.
const TOLD_A_TURN = 16;

/** Tells those who queue where they stand: soon, and at most once a second for all that has
 *  changed until then. */
export class Announcer {
  readonly #clock: Clock;
  readonly #queue: WaitQueue;
  readonly #holder: () => Lease | undefined;
  #announcedAtMs = -Infinity;
  #cancel: (() => void) | undefined;
  #isTelling = false;
  #isStale = false;

  /** @param holder who holds what they wait for, as far as is known */
  constructor(clock: Clock, queue: WaitQueue, holder: () => Lease | undefined) {
    this.#clock = clock;
    this.#queue = queue;
    this.#holder = holder;
  }

  soon(): void {
    this.#isStale = true;
    if (this.#isTelling || this.#cancel !== undefined || this.#queue.size === 0) return;
    const nextAtMs = this.#announcedAtMs + ANNOUNCE_EVERY_MS;
    const waitMs = Math.max(0, nextAtMs - this.#clock.monotonicMs());
    this.#cancel = this.#clock.after(waitMs, () => {
      this.#cancel = undefined;
      this.#isStale = false;
      this.#isTelling = true;
      const holder = this.#holder();
      this.#tell(this.#queue.news(holder), holder);
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #tell(news: News[], holder: Lease | undefined): void {
    for (const { place, position } of news.splice(0, TOLD_A_TURN)) {
      if (this.#queue.has(place) && !place.isGone) place.waiter.onQueued(position, holder);
    }
    if (news.length > 0) {
      this.#clock.endOfTurn(() => {
        this.#tell(news, holder);
      });
      return;
    }
    this.#isTelling = false;
    this.#announcedAtMs = this.#clock.monotonicMs();
    if (this.#isStale) this.soon();
  }
}
