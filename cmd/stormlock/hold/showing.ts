import { deferred } from "../../../src/lock/deferred.js";
import { DeadlineWatch } from "./deadline-watch.js";
import type { GuardianLink } from "./guardian-link.js";
import { hostTime } from "./host-time.js";
import type { ShownFiles } from "./shown-files.js";
import type { TakenLocks } from "./taken-locks.js";

/** Why nothing is shown any more. */
export type ShowingEnd = "stopped" | "lost" | "unguarded";

// How long before the deadline it ends, so that it is over by then.
const LEAD_SHARE = 1 / 20;
const LEAST_LEAD_MS = 50;
const MOST_LEAD_MS = 500;

/** Shows to others that locks are held, for just as long as they are. */
export class Showing {
  readonly #files: ShownFiles;
  readonly #guardian: GuardianLink | undefined;
  #locks: TakenLocks | undefined;

  /** @param guardian removes the files when this process cannot; none is needed without files */
  constructor(files: ShownFiles, guardian: GuardianLink | undefined) {
    this.#files = files;
    this.#guardian = guardian;
  }

  /** What is shown now. */
  get locks(): TakenLocks | undefined {
    return this.#locks;
  }

  /**
   * Shows that the locks are held, until one of them is lost or the signal aborts. Nothing is
   * shown any more when it resolves.
   * @param shown hears that all is shown
   * @throws LockError "internal" when there is no guardian for the files
   */
  async while(locks: TakenLocks, signal: AbortSignal, shown: () => void): Promise<ShowingEnd> {
    const ended = deferred<ShowingEnd>();
    const state = { isOver: false };
    const finish = (end: ShowingEnd): void => {
      if (state.isOver) return;
      state.isOver = true;
      this.#locks = undefined;
      this.#files.remove();
      ended.resolve(end);
    };
    const lose = (): void => {
      finish("lost");
    };
    const stopped = deferred<true>();
    const stop = (): void => {
      finish("stopped");
      stopped.resolve(true);
    };
    const leadMs = Math.min(Math.max(locks.ttlMs * LEAD_SHARE, LEAST_LEAD_MS), MOST_LEAD_MS);
    const watch = new DeadlineWatch({
      ...{ time: hostTime, graceMs: leadMs, deadline: locks.deadline },
      ...{ terminate: lose, kill: lose },
    });
    const unwatch = locks.watch(() => {
      if (!locks.areHeld) {
        lose();
        return;
      }
      watch.extend(locks.deadline);
      this.#guardian?.sayDeadline(locks.deadline);
    });
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    try {
      if (this.#guardian !== undefined && !state.isOver) {
        const guarding = this.#guardian.guard(
          {
            ...{ say: "guard-files", files: this.#files.write(locks.holds), leadMs },
            deadline: locks.deadline,
          },
          {
            terminating: lose,
            unguarded: () => {
              finish("unguarded");
            },
          },
        );
        // Whoever wants it to end does not wait for a guardian that is stuck.
        await Promise.race([guarding, stopped.promise]);
      }
      if (!locks.areHeld || watch.isDue) lose();
      if (!state.isOver && !this.#files.show()) lose();
      if (!state.isOver) {
        this.#locks = locks;
        shown();
      }
      return await ended.promise;
    } finally {
      lose();
      signal.removeEventListener("abort", stop);
      unwatch();
      watch.stop();
    }
  }
}
