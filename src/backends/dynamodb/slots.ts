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
  /** By when it must be done for something not to be lost, monotonic; when left out, nothing is. */
  readonly urgentAtMs?: number;
}

interface Waiter {
  readonly urgentAtMs: number;
  readonly number: number;
  readonly wake: (error?: LockError) => void;
}

/** How many are let through to a server that has left one unanswered. */
const FEW = 4;

/**
 * So many requests at a time; the others wait their turn, no longer than their deadline: first those
 * that are urgent, the most urgent before all, then the others as they have come. To a server that
 * is silent only a few are sent, and one more with each answer: a server that was away shall find
 * the newest renewals when it is back, not all that were given up meanwhile.
 */
export class Slots {
  readonly #clock: Clock;
  readonly #count: number;
  #open: number;
  #taken = 0;
  /** The next one last. */
  readonly #waiting: Waiter[] = [];
  #numbers = 0;

  constructor(clock: Clock, count: number) {
    this.#clock = clock;
    this.#count = count;
    this.#open = count;
  }

  /**
   * @returns what gives the slot back: to be told whether the request was answered in its time
   * @throws LockError "unavailable" when there was none in time
   */
  async take(deadline: Deadline, place: string): Promise<(isAnswered: boolean) => void> {
    if (this.#taken < this.#open) this.#taken += 1;
    else await this.#wait(deadline, place);
    return (isAnswered) => {
      this.#taken -= 1;
      this.#open = isAnswered ? Math.min(this.#open + 1, this.#count) : FEW;
      while (this.#taken < this.#open) {
        const next = this.#waiting.at(-1);
        if (next === undefined) break;
        this.#taken += 1;
        next.wake();
      }
    };
  }

  #wait({ atMs, closing, urgentAtMs = Infinity }: Deadline, place: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = (): void => {
        const why =
          this.#open < this.#count
            ? "did not answer in time: check the network and the endpoint, and try again"
            : "has more to do than it answers in time: ask for less at once, and try again";
        waiter.wake(new LockError("unavailable", `${place} ${why}`));
      };
      const onClose = (): void => {
        waiter.wake(closedError(place));
      };
      const waiter: Waiter = {
        urgentAtMs,
        number: (this.#numbers += 1),
        wake: (error) => {
          this.#waiting.splice(this.#placeOf(waiter), 1);
          cancel();
          closing.removeEventListener("abort", onClose);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      const cancel = this.#clock.after(atMs - this.#clock.monotonicMs(), late);
      closing.addEventListener("abort", onClose, { once: true });
      this.#waiting.splice(this.#placeOf(waiter), 0, waiter);
    });
  }

  // Where it stands, or would: behind all who come after it.
  #placeOf(waiter: Waiter): number {
    let from = 0;
    for (let to = this.#waiting.length; from < to;) {
      const middle = (from + to) >>> 1;
      const other = this.#waiting[middle];
      if (other !== undefined && comesBefore(waiter, other)) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

function comesBefore(one: Waiter, other: Waiter): boolean {
  return one.urgentAtMs === other.urgentAtMs
    ? one.number < other.number
    : one.urgentAtMs < other.urgentAtMs;
}

export function closedError(place: string): LockError {
  return new LockError("unavailable", `the client of ${place} has been closed here`);
}
