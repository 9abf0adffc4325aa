// Callers that each want a lock of their own, either so many at a time, each of whom asks again
// when answered, or so many a second, whether or not the daemon can follow.
//
//   node flood.js '{"address": "127.0.0.1:7420", "perSecond": 9000, "ms": 5000, "warmUpMs": 1000, …}'

import { quantile } from "../../figures.js";
import { Connection, type Fate } from "../connection.js";
import { AcquireFrames } from "../frames.js";

/** What to do. */
export interface FloodOrder {
  readonly address: string;
  readonly connections: number;
  /** How many come: at a time, or in a second. */
  readonly inFlight?: number;
  readonly perSecond?: number;
  /** How long to count for, and to go on before that without counting. */
  readonly ms: number;
  readonly warmUpMs: number;
  /** How long a caller waits for its answer. */
  readonly deadlineMs: number;
}

/** What came of it. */
export interface FloodReport {
  /** Calls that ended in each way, a second. */
  readonly perSecond: Readonly<Record<Fate, number>>;
  /** How long they took from when they were due, in milliseconds. */
  readonly grantedMs: { readonly p50: number; readonly p99: number };
  readonly refusedMs: { readonly p50: number; readonly p99: number };
  /** How late this program was itself with what was due, at the most: what it says is worth as much. */
  readonly worstLagMs: number;
}

// Short enough that a lock is free again before its next turn.
const TTL_MS = 1000;
const TICK_MS = 1;

async function run(order: FloodOrder): Promise<FloodReport> {
  const { address, connections, inFlight, perSecond = 0, ms, warmUpMs, deadlineMs } = order;
  const beganAtMs = performance.now();
  const startAtMs = beganAtMs + warmUpMs;
  const endAtMs = startAtMs + ms;
  const took: Record<Fate, number[]> = { granted: [], refused: [], broken: [], late: [] };
  let number = 0;
  let worstLagMs = 0;

  const frames = new AcquireFrames(address, { deadlineMs, ttlMs: TTL_MS });
  const all = Array.from({ length: connections }, (_, at) => {
    const connection: Connection = new Connection({
      ...{ address, frames, deadlineMs },
      onFate: (fate, tookMs, dueAtMs) => {
        const nowMs = performance.now();
        const isCounted = inFlight === undefined ? dueAtMs >= startAtMs : nowMs >= startAtMs;
        if (isCounted && dueAtMs < endAtMs) took[fate].push(tookMs);
        if (inFlight === undefined || nowMs >= endAtMs) return;
        connection.acquire(number++, nowMs);
        soon(connection);
      },
    });
    for (let own = at; own < (inFlight ?? 0); own += connections) {
      connection.acquire(number++, beganAtMs);
    }
    return connection;
  });
  // What is answered together is asked again together.
  const dirty = new Set<Connection>();
  const soon = (connection: Connection): void => {
    if (dirty.size === 0) {
      setImmediate(() => {
        for (const each of dirty) each.flush(performance.now());
        dirty.clear();
      });
    }
    dirty.add(connection);
  };

  let lastMs = beganAtMs;
  for (;;) {
    const nowMs = performance.now();
    worstLagMs = Math.max(worstLagMs, nowMs - lastMs - TICK_MS);
    lastMs = nowMs;
    while (inFlight === undefined) {
      const dueAtMs = beganAtMs + (number * 1000) / perSecond;
      if (dueAtMs > nowMs || dueAtMs >= endAtMs) break;
      all[number % connections]?.acquire(number, dueAtMs);
      number += 1;
    }
    for (const connection of all) connection.flush(nowMs);
    const isOver = nowMs >= endAtMs && all.every(({ open }) => open === 0);
    if (isOver || nowMs >= endAtMs + deadlineMs + 1000) break;
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  for (const connection of all) connection.close();
  const rate = (fate: Fate): number => (took[fate].length * 1000) / ms;
  const quantiles = (times: readonly number[]): { p50: number; p99: number } => ({
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
  });
  return {
    perSecond: {
      granted: rate("granted"),
      refused: rate("refused"),
      broken: rate("broken"),
      late: rate("late"),
    },
    grantedMs: quantiles(took.granted),
    refusedMs: quantiles(took.refused),
    worstLagMs,
  };
}

const order = JSON.parse(process.argv[2] ?? "{}") as FloodOrder;
process.stdout.write(`${JSON.stringify(await run(order))}\n`);
