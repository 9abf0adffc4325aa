import { quantile } from "../figures.js";
import type { LoadReport } from "../unary/programs/load.js";

/** How many pairs, and for how long. */
export interface PairsOrder {
  readonly inFlight: number;
  readonly ms: number;
  /** How long to go on before that, without counting. */
  readonly warmUpMs: number;
}

/** A worker's own lock, taken and given back again and again. */
export interface Pair {
  acquire(): Promise<void>;
  release(): Promise<void>;
}

/** Pairs of acquire and release, so many in flight. */
export async function measurePairs(
  { inFlight, ms, warmUpMs }: PairsOrder,
  pairOf: (worker: number) => Promise<Pair>,
): Promise<LoadReport> {
  const pairs = await Promise.all(Array.from({ length: inFlight }, (_, worker) => pairOf(worker)));
  const startAtMs = performance.now() + warmUpMs;
  const endAtMs = startAtMs + ms;
  const times: number[] = [];
  let allPairs = 0;
  const work = async (pair: Pair): Promise<void> => {
    for (;;) {
      const beganAtMs = performance.now();
      if (beganAtMs >= endAtMs) return;
      await pair.acquire();
      const grantedAtMs = performance.now();
      await pair.release();
      allPairs += 1;
      const endedAtMs = performance.now();
      if (endedAtMs >= startAtMs && endedAtMs <= endAtMs) times.push(grantedAtMs - beganAtMs);
    }
  };
  await Promise.all(pairs.map(work));
  return {
    pairsPerSecond: (times.length * 1000) / ms,
    allPairs,
    p50Ms: quantile(times, 0.5),
    p99Ms: quantile(times, 0.99),
  };
}
