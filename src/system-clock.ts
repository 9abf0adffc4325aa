import { uptime } from "node:os";
import type { Clock } from "./lock/clock.js";

// setTimeout fires at once when asked for more than 2^31-1 ms, so longer sleeps go in steps.
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

const hrtimeStartedMs = performance.now();
const uptimeStartedMs = uptime() * 1000;

/** This machine's clock. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),

  // performance.now() stands still while the machine is suspended, os.uptime() goes on but
  // has 10 ms steps: the larger of the two has the good of both. It stays monotonic, since
  // both parts are.
  monotonicMs: () =>
    Math.max(performance.now() - hrtimeStartedMs, uptime() * 1000 - uptimeStartedMs),

  after(delayMs, wake) {
    if (delayMs === Infinity) return () => undefined;
    let timer: NodeJS.Timeout;
    const arm = (leftMs: number): void => {
      const stepMs = Math.min(leftMs, LONGEST_TIMEOUT_MS);
      timer = setTimeout(() => {
        if (leftMs > stepMs) arm(leftMs - stepMs);
        else wake();
      }, Math.ceil(stepMs));
      timer.unref();
    };
    arm(Math.max(0, delayMs));
    return () => {
      clearTimeout(timer);
    };
  },

  endOfTurn(work) {
    setImmediate(work);
  },
};
