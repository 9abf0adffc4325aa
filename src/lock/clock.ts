import { onAbort } from "./on-abort.js";

/**
 * Time, as the rules of this folder see it. Passed in, so that tests can run years
 * in a second, and so that nothing else here reads time or sets a timer.
 */
export interface Clock {
  /** Milliseconds since 1970 by the wall clock. For people; it may jump either way. */
  wallMs(): number;

  /**
   * Milliseconds since some fixed moment. Never goes back, is not moved by anybody
   * who sets the wall clock, and counts the time for which the machine was suspended.
   */
  monotonicMs(): number;

  /**
   * Runs `wake` once, `delayMs` from now or a little later, never earlier. Any delay
   * from 0 to Infinity will do; the second never comes. It does not keep a process
   * alive by itself.
   * @returns what calls it off; harmless when it has run
   */
  after(delayMs: number, wake: () => void): () => void;

  /**
   * Runs `work` at the end of this turn of the event loop, when everything that has
   * arrived together has been looked at. What is due in one turn goes to a store as
   * one batch.
   */
  endOfTurn(work: () => void): void;
}

/**
 * Waits.
 * @throws the signal's reason, as soon as it aborts
 */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason as Error);
      return;
    }
    const cancel = clock.after(delayMs, () => {
      stopListening?.();
      resolve();
    });
    const stopListening =
      signal &&
      onAbort(signal, () => {
        cancel();
        reject(signal.reason as Error);
      });
  });
}
