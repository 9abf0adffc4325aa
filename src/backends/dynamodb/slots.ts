import type { Clock } from "../../lock/clock.js";
import { LockError } from "../../lock/errors.js";

/**
 * How long a call may go on: until its time is over, or its client is closed. Nothing that is
 * done for it waits longer.
 */
export interface Deadline {
  /** Monotonic. */
  readonly atMs: number;
  readonly closing: AbortSignal;
}

interface Waiter {
  readonly wake: (error?: LockError) => void;
}

/** So many requests at a time; the others wait their turn, no longer than their deadline. */
export class Slots {
  readonly #clock: Clock;
  #free: number;
  readonly #waiting = new Set<Waiter>();

  constructor(clock: Clock, count: number) {
    this.#clock = clock;
    this.#free = count;
  }

  /**
   * @returns what gives the slot back
   * @throws LockError "unavailable" when there was none in time
   */
  async take(deadline: Deadline, place: string): Promise<() => void> {
    if (this.#free > 0) this.#free -= 1;
    else await this.#wait(deadline, place);
    return () => {
      const [next] = this.#waiting;
      if (next === undefined) this.#free += 1;
      else next.wake();
    };
  }

  #wait({ atMs, closing }: Deadline, place: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = (): void => {
        const why = "has more to do than it answers in time: ask for less at once, and try again";
        waiter.wake(new LockError("unavailable", `${place} ${why}`));
      };
      const onClose = (): void => {
        waiter.wake(closedError(place));
      };
      const waiter: Waiter = {
        wake: (error) => {
          this.#waiting.delete(waiter);
          cancel();
          closing.removeEventListener("abort", onClose);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      const cancel = this.#clock.after(atMs - this.#clock.monotonicMs(), late);
      closing.addEventListener("abort", onClose, { once: true });
      this.#waiting.add(waiter);
    });
  }
}

export function closedError(place: string): LockError {
  return new LockError("unavailable", `the client of ${place} has been closed here`);
}
