import type { HolderSays } from "../hold.js";
import type { HoldWish } from "./holding.js";
import { newLeaseId } from "../lease.js";

/** The asking for one lock: under which id, since when, and for how long yet. */
export class Ask {
  readonly #wish: HoldWish;
  #leaseId = newLeaseId();
  #times = 0;
  readonly sinceMs: number;
  /** When the wait is over. */
  readonly untilMs: number;

  constructor(wish: HoldWish, nowMs: number) {
    this.#wish = wish;
    this.sinceMs = nowMs;
    this.untilMs = nowMs + wish.waitMs;
  }

  get leaseId(): string {
    return this.#leaseId;
  }

  /** How often a daemon may have heard of it. */
  get times(): number {
    return this.#times;
  }

  /** What to say: for what is left of the wait. */
  next(nowMs: number): HolderSays {
    this.#times += 1;
    const { resource, principal, ttlMs, reason, labels } = this.#wish;
    const waitMs = Math.max(0, this.untilMs - nowMs);
    const leaseId = this.#leaseId;
    return { kind: "acquire", resource, leaseId, principal, ttlMs, waitMs, reason, labels };
  }

  /** What was said last has reached nobody. */
  takeBack(): void {
    this.#times -= 1;
  }

  /** The id is used up, and nobody has believed in it: a new one is as good. */
  renewId(): void {
    this.#leaseId = newLeaseId();
  }
}
