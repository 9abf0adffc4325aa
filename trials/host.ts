import { uptime } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

/** The monotonic clock that all processes of this host share, in ms: CLOCK_MONOTONIC. */
export function hostMs(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

// The wall clock tells whole ms: the pairing right after it has gone on is the closest.
const WALL_TICKS = 5;

/**
 * What to add to a moment of the wall clock, in ms, to have it on `hostMs`. It holds for about now: what
 * corrects the wall clock moves it on during a run.
 */
export function wallToHostMs(): number {
  let leastMs = Infinity;
  let [ticks, wallMs] = [0, Date.now()];
  while (ticks < WALL_TICKS) {
    const nowMs = Date.now();
    leastMs = Math.min(leastMs, hostMs() - nowMs);
    if (nowMs !== wallMs) ticks++;
    wallMs = nowMs;
  }
  return leastMs;
}

const interruption = new AbortController();

/** Ends every wait of the harness with an error, so that all that it has started is ended. */
export function interrupt(): void {
  interruption.abort();
}

export async function pause(ms: number): Promise<void> {
  await sleep(Math.max(0, ms), undefined, { signal: interruption.signal });
}

/** @returns what was found, or nothing when the time has run out */
export async function until<T>(
  find: () => T | undefined | false,
  withinMs: number,
): Promise<T | undefined> {
  const endsMs = hostMs() + withinMs;
  for (;;) {
    const found = find();
    if (found !== undefined && found !== false) return found;
    if (hostMs() > endsMs) return undefined;
    await pause(10);
  }
}

/**
 * How much the clock by which the kernel dates the birth of processes is ahead of `hostMs`: as
 * long as the host has been suspended. In steps of 10 ms, the true value at the most.
 */
export async function suspendedMs(): Promise<number> {
  let mostMs = 0;
  for (let sample = 0; sample < 30; sample++) {
    mostMs = Math.max(mostMs, uptime() * 1000 - hostMs());
    await pause(1);
  }
  return mostMs;
}
