import { isBusy, StoreFault } from "./faults.js";
import { monotonicUs } from "./host-clock.js";

// Between two tries to get a lock that another process has: in the range of its transactions,
// and of no common length, so that nobody is always late.
const RETRY_MS = { least: 0.2, most: 2 };

const NOBODY = new Int32Array(new SharedArrayBuffer(4));

/**
 * Tries again, for so long, while another process has the file's lock. SQLite's own way of
 * waiting sleeps up to 100 ms between tries, so that a busy file starved whoever came late.
 * Blocks the thread. Throws StoreFault "busy", or what the attempt throws.
 */
export function patiently<T>(busyMs: number, attempt: () => T): T {
  const startedUs = monotonicUs();
  for (;;) {
    try {
      return attempt();
    } catch (error) {
      if (!isBusy(error)) throw error;
      const waitedMs = (monotonicUs() - startedUs) / 1000;
      if (waitedMs >= busyMs) throw new StoreFault("busy", Math.round(waitedMs));
      const pauseMs = RETRY_MS.least + Math.random() * (RETRY_MS.most - RETRY_MS.least);
      Atomics.wait(NOBODY, 0, 0, pauseMs);
    }
  }
}
