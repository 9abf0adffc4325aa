import { sleep } from "../clock.js";
import type { DaemonSays } from "../hold.js";
import type { LockManager } from "./manager.js";
import { HoldSession } from "./session.js";

/** At the most so long does a draining daemon wait for holders to go elsewhere. */
const LONGEST_DRAIN_MS = 10_000;

/** The share of that time within which they must have gone; the rest is for good-byes. */
const RESUME_SHARE = 0.8;

/** All Hold streams of a daemon. */
export class HoldHub {
  readonly #locks: LockManager;
  readonly #keeping = new Map<string, HoldSession>();
  readonly #visits = new Map<
    HoldSession,
    { readonly say: (message: DaemonSays) => void; readonly dismiss: (withinMs: number) => void }
  >();

  constructor(locks: LockManager) {
    this.#locks = locks;
  }

  get clock(): LockManager["clock"] {
    return this.#locks.clock;
  }

  /** How many streams are open. */
  get streams(): number {
    return this.#visits.size;
  }

  /** How many leases they keep. */
  get leases(): number {
    let count = 0;
    for (const session of this.#visits.keys()) count += session.leases;
    return count;
  }

  /**
   * A stream has been opened. Whoever opens one closes it.
   * @param dismiss ends the stream from the daemon's side; after so long, off the wire
   */
  open(
    identity: string | undefined,
    say: (message: DaemonSays) => void,
    dismiss: (withinMs: number) => void,
  ): HoldSession {
    const session = new HoldSession({ locks: this.#locks, say, identity, keeping: this.#keeping });
    this.#visits.set(session, { say, dismiss });
    return session;
  }

  /** A stream is over. */
  close(session: HoldSession): void {
    if (this.#visits.delete(session)) session.end();
  }

  /**
   * Sends every holder elsewhere, and ends the streams of those who have not gone by then: within
   * a third of the shortest ttl, good-byes included, so that all can resume in time. Streams that
   * keep nothing are not waited for. Nothing is released.
   * @returns how much of that time is left for good-byes
   */
  async drain(withinMs: number): Promise<number> {
    let allMs = Math.min(LONGEST_DRAIN_MS, withinMs);
    for (const { smallestTtlMs } of this.#visits.keys()) {
      allMs = Math.min(allMs, smallestTtlMs / 3);
    }
    const allUntilMs = this.clock.monotonicMs() + allMs;
    const resumeWithinMs = allMs * RESUME_SHARE;
    const untilMs = this.clock.monotonicMs() + resumeWithinMs;
    for (const { say } of this.#visits.values()) say({ kind: "draining", resumeWithinMs });
    while (this.leases > 0 && this.clock.monotonicMs() < untilMs) {
      await sleep(this.clock, Math.min(20, untilMs - this.clock.monotonicMs()));
    }
    const leftMs = Math.max(0, allUntilMs - this.clock.monotonicMs());
    for (const { dismiss } of [...this.#visits.values()]) dismiss(leftMs / 2);
    return leftMs;
  }
}
