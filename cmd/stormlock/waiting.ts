// What is said while `acquire --wait` stands in the queue: on a terminal a line that is kept up
// to date, elsewhere one line. Only after a while, since most waits are over at once.

import { LockError } from "../../src/lock/errors.js";
import type { Lease } from "../../src/lock/lease.js";
import type { Output } from "./output.js";

const FIRST_WORD_MS = 400;
const EVERY_MS = 1000;

/** What the words are made from. */
export interface WaitNews {
  /** Who holds it now. */
  readonly current: (signal: AbortSignal) => Promise<Lease | undefined>;
  readonly nowMs: () => number;
}

/** Waits, and tells why it takes so long. */
export async function tellWhile<T>(
  resource: string,
  news: WaitNews,
  output: Output,
  isTerminal: boolean,
  wait: () => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  const telling = tell(resource, news, output, isTerminal, stop.signal);
  try {
    return await wait();
  } finally {
    stop.abort();
    await telling;
    output.clearStatus();
  }
}

async function tell(
  resource: string,
  news: WaitNews,
  output: Output,
  isTerminal: boolean,
  signal: AbortSignal,
): Promise<void> {
  for (let pauseMs = FIRST_WORD_MS; await pause(pauseMs, signal); pauseMs = EVERY_MS) {
    const words = await wordsOf(resource, news, signal);
    // The stop may have come while the answer was on its way.
    if (isOver(signal)) return;
    if (words === undefined) continue;
    if (!isTerminal) {
      output.note(words);
      return;
    }
    output.status(words);
  }
}

// For the compiler, that believes what it saw before an await.
function isOver(signal: AbortSignal): boolean {
  return signal.aborted;
}

async function wordsOf(
  resource: string,
  { current, nowMs }: WaitNews,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const holder = await current(signal);
    // Free at this moment: the next word will know more.
    return holder && waitingFor(resource, holder, nowMs());
  } catch (thrown) {
    // What is definitely wrong is for the acquire itself to say.
    if (!(thrown instanceof LockError) || thrown.isDefinite) return undefined;
    return `waiting for ${resource}: ${thrown.message}; asking again`;
  }
}

/** `waiting for deploy/prod: held by ann@ci-7 for 3m (release 4.2)` */
export function waitingFor(resource: string, holder: Lease, nowMs: number): string {
  const why = holder.reason === "" ? "" : ` (${holder.reason})`;
  const heldMs = nowMs - Number(holder.createdAtUs / 1000n);
  return `waiting for ${resource}: held by ${holder.principal} for ${roughly(heldMs)}${why}`;
}

const STEPS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
] as const;

// The largest unit is all that anybody wants to know; another host's clock may be ahead.
function roughly(ms: number): string {
  const [unit, unitMs] = STEPS.find(([, each]) => ms >= each) ?? STEPS[3];
  return `${String(Math.max(0, Math.floor(ms / unitMs)))}${unit}`;
}

// false when it was cut short
function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve(false);
      return;
    }
    const onAbort = (): void => {
      clearTimeout(timer);
      resolve(false);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve(true);
    }, ms);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
