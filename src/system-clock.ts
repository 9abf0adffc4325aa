import { uptime } from "node:os";
import type { Clock } from "./lock/clock.js";

// setTimeout fires at once when asked for more than 2^31-1 ms, so longer sleeps go in steps.
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

// uptime() opens a file: 10 to 70 µs, where the other clocks cost 0.1. It has 10 ms steps anyway.
const UPTIME_STEP_MS = 10;
// A suspension moves the wall clock and not hrtime: it is noticed at once by that.
const SUSPICIOUS_MS = 5;

const hrtimeStartedMs = hrtimeMs();
const uptimeStartedMs = uptime() * 1000;
let uptimeRead = { hrMs: hrtimeStartedMs, wallMs: Date.now(), aheadMs: 0 };

/** This machine's clock. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),

  // hrtime stands still while the machine is suspended, os.uptime() goes on but
  // has steps: the first, moved ahead by what the second has gained on it, has the good of both.
  // It stays monotonic, since it is never moved back.
  monotonicMs() {
    const hrMs = hrtimeMs();
    const wallMs = Date.now();
    const sinceMs = hrMs - uptimeRead.hrMs;
    const apartMs = Math.abs(wallMs - uptimeRead.wallMs - sinceMs);
    if (sinceMs >= UPTIME_STEP_MS || apartMs > SUSPICIOUS_MS) {
      const gainedMs = uptime() * 1000 - uptimeStartedMs - (hrMs - hrtimeStartedMs);
      uptimeRead = { hrMs, wallMs, aheadMs: Math.max(uptimeRead.aheadMs, gainedMs) };
    }
    return hrMs - hrtimeStartedMs + uptimeRead.aheadMs;
  },

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

// Not performance.now(), though it is the same clock: Node loads that at its first use, for 2 ms of
// a command's 50.
function hrtimeMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
