import { heartbeatPeriodMs } from "../hold.js";
import type { Lease } from "../lease.js";
import type { Wish } from "./wish.js";

// No ttl that makes sense asks for more; a daemon's nonsense shall not make a holder flood it.
const SHORTEST_PERIOD_MS = 100;

/** All that one holder wants or has, at most one for each resource. */
export class Wishes {
  readonly #byResource = new Map<string, Wish>();

  get size(): number {
    return this.#byResource.size;
  }

  [Symbol.iterator](): IterableIterator<Wish> {
    return this.#byResource.values();
  }

  get(resource: string): Wish | undefined {
    return this.#byResource.get(resource);
  }

  /** The one that a lease was granted to. */
  of({ resource, leaseId }: Pick<Lease, "resource" | "leaseId">): Wish | undefined {
    const wish = this.#byResource.get(resource);
    return wish?.leaseId === leaseId ? wish : undefined;
  }

  add(wish: Wish): void {
    this.#byResource.set(wish.resource, wish);
  }

  /** @returns whether it was there */
  remove(wish: Wish): boolean {
    return this.#byResource.get(wish.resource) === wish && this.#byResource.delete(wish.resource);
  }

  /**
   * How often heartbeats are due, as the shortest ttl wants it of all that is wanted. What is being
   * released counts only where there is nothing else: the daemon, which keeps it no longer, takes
   * the time for its acknowledgements that the others leave it.
   */
  get periodMs(): number {
    let wantedMs = Infinity;
    let smallestMs = Infinity;
    for (const wish of this) {
      smallestMs = Math.min(smallestMs, wish.ttlMs);
      if (wish.isWanted) wantedMs = Math.min(wantedMs, wish.ttlMs);
    }
    const ttlMs = wantedMs === Infinity ? smallestMs : wantedMs;
    return Math.max(heartbeatPeriodMs(ttlMs), SHORTEST_PERIOD_MS);
  }

  /** How many are asked for or held. */
  get wanted(): number {
    let count = 0;
    for (const { isWanted } of this) if (isWanted) count += 1;
    return count;
  }

  /** When a stream that was opened then must be left for one that confirms what is held (K10). */
  urgentAtMs(openedAtMs: number, periodMs: number): number {
    let atMs = Infinity;
    for (const wish of this) atMs = Math.min(atMs, wish.urgentAtMs(openedAtMs, periodMs));
    return atMs;
  }

  /** Whether a daemon's store has no answer for one of them, and nobody would lose his place in a
   *  queue by asking another daemon (K10). */
  get isPutOff(): boolean {
    let isPutOff = false;
    for (const { standing } of this) {
      if (standing === "queued") return false;
      isPutOff ||= standing === "put-off";
    }
    return isPutOff;
  }
}
