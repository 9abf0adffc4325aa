// Rounds: in each, every contender is measured once for every load, one after the other, so that
// a machine that grows slower or faster hurts or helps all alike. A figure is the median of its
// rounds; what is compared was measured in the same run.

import { figure, type Figure } from "../figures.js";
import { runProgram } from "../run-program.js";
import type { Run } from "../section.js";
import type { Contender } from "../servers.js";
import { usageOf } from "../usage.js";
import type { LimitOrder, LimitReport } from "./programs/limit.js";
import type { LoadOrder, LoadReport } from "./programs/load.js";

// Calls of many callers come over several connections, as they do from several programs.
const CONNECTIONS = 8;

export interface Plan {
  readonly inFlight: readonly number[];
  readonly rounds: number;
  readonly ms: number;
  readonly warmUpMs: number;
  readonly program: Run["program"];
}

/** One contender under one load. */
export interface Result {
  readonly contender: string;
  readonly inFlight: number;
  /** Pairs of acquire and release a second, through the server. */
  readonly pairsPerSecond: Figure;
  /** What a pair costs the server on a CPU, in microseconds; the store's own process not counted. */
  readonly cpuUsPerPair: Figure;
  /** Of one acquire, in milliseconds. */
  readonly p50Ms: Figure;
  readonly p99Ms: Figure;
  /** Pairs a second of the store by itself; undefined where there is none. */
  readonly storePairsPerSecond: Figure | undefined;
}

type Through = LoadReport & { readonly cpuUsPerPair: number };

/** Measures all of them. Tells before each round where it is. */
export async function playRounds(
  contenders: readonly Contender[],
  plan: Plan,
  tell: (text: string) => void,
): Promise<readonly Result[]> {
  const seen = new Map<string, { through: Through[]; alone: LimitReport[] }>();
  for (let round = 1; round <= plan.rounds; round++) {
    for (const inFlight of plan.inFlight) {
      tell(`round ${String(round)} of ${String(plan.rounds)}, ${String(inFlight)} in flight`);
      for (const contender of contenders) {
        const key = keyOf(contender.name, inFlight);
        const reports = seen.get(key) ?? { through: [], alone: [] };
        seen.set(key, reports);
        reports.through.push(await throughServer(contender, inFlight, plan));
        if (contender.store === undefined) continue;
        reports.alone.push(await past(contender.store, inFlight, plan));
      }
    }
  }
  return contenders.flatMap(({ name }) =>
    plan.inFlight.map((inFlight): Result => {
      const { through = [], alone = [] } = seen.get(keyOf(name, inFlight)) ?? {};
      const rates = alone.map(({ pairsPerSecond }) => pairsPerSecond);
      return {
        ...{ contender: name, inFlight },
        pairsPerSecond: figure(through.map(({ pairsPerSecond }) => pairsPerSecond)),
        cpuUsPerPair: figure(through.map(({ cpuUsPerPair }) => cpuUsPerPair)),
        p50Ms: figure(through.map(({ p50Ms }) => p50Ms)),
        p99Ms: figure(through.map(({ p99Ms }) => p99Ms)),
        storePairsPerSecond: rates.length === 0 ? undefined : figure(rates),
      };
    }),
  );
}

async function throughServer(
  { address, pid }: Contender,
  inFlight: number,
  { ms, warmUpMs, program }: Plan,
): Promise<Through> {
  const order: LoadOrder = { address, inFlight, connections: CONNECTIONS, ms, warmUpMs };
  const before = await usageOf(pid);
  const path = program("unary/programs/load");
  const report = await runProgram<LoadReport>(path, order, withinMs(order));
  const after = await usageOf(pid);
  return { ...report, cpuUsPerPair: ((after.cpuMs - before.cpuMs) * 1000) / report.allPairs };
}

function past(
  store: NonNullable<Contender["store"]>,
  inFlight: number,
  { ms, warmUpMs, program }: Plan,
): Promise<LimitReport> {
  // Its rate varies less, so less of it is enough.
  const order: LimitOrder = { ...store, inFlight, ms: ms / 2, warmUpMs };
  return runProgram(program("unary/programs/limit"), order, withinMs(order));
}

function withinMs({ ms, warmUpMs }: LoadOrder | LimitOrder): number {
  return Math.ceil(10 * (ms + warmUpMs)) + 20_000;
}

function keyOf(name: string, inFlight: number): string {
  return `${name} ${String(inFlight)}`;
}
