// Rounds: in each, every contender is measured once for every load, one after the other, so that
// a machine that grows slower or faster hurts or helps all alike. A figure is the median of its
// rounds; what is compared was measured in the same run.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Contender } from "./contenders.js";
import type { LimitOrder } from "./limit.js";
import type { LoadOrder, LoadReport } from "./load.js";

const execute = promisify(execFile);

// Calls of many callers come over several connections, as they do from several programs.
const CONNECTIONS = 8;

export interface Plan {
  readonly inFlight: readonly number[];
  readonly rounds: number;
  readonly ms: number;
  readonly warmUpMs: number;
  /** The built programs that make load: through a daemon, and past it. */
  readonly programs: { readonly load: string; readonly limit: string };
}

/** The middle of what several rounds gave, with the least and the most. */
export interface Figure {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** One contender under one load. */
export interface Result {
  readonly contender: string;
  readonly inFlight: number;
  /** Pairs of acquire and release a second, through the server. */
  readonly pairsPerSecond: Figure;
  /** Of one acquire, in milliseconds. */
  readonly p50Ms: Figure;
  readonly p99Ms: Figure;
  /** Pairs a second of the store by itself; undefined where there is none. */
  readonly storePairsPerSecond: Figure | undefined;
}

/** Measures all of them. Tells before each round where it is. */
export async function playRounds(
  contenders: readonly Contender[],
  plan: Plan,
  tell: (text: string) => void,
): Promise<readonly Result[]> {
  const seen = new Map<string, { through: LoadReport[]; alone: LoadReport[] }>();
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
        p50Ms: figure(through.map(({ p50Ms }) => p50Ms)),
        p99Ms: figure(through.map(({ p99Ms }) => p99Ms)),
        storePairsPerSecond: rates.length === 0 ? undefined : figure(rates),
      };
    }),
  );
}

function throughServer({ address }: Contender, inFlight: number, plan: Plan): Promise<LoadReport> {
  const { ms, warmUpMs, programs } = plan;
  const order: LoadOrder = { address, inFlight, connections: CONNECTIONS, ms, warmUpMs };
  return report(programs.load, order, plan);
}

function past(
  store: NonNullable<Contender["store"]>,
  inFlight: number,
  plan: Plan,
): Promise<LoadReport> {
  const { ms, warmUpMs, programs } = plan;
  const order: LimitOrder = { ...store, inFlight, ms, warmUpMs };
  return report(programs.limit, order, plan);
}

async function report(
  program: string,
  order: LoadOrder | LimitOrder,
  { ms, warmUpMs }: Plan,
): Promise<LoadReport> {
  const argv = [program, JSON.stringify(order)];
  const timeout = 10 * (ms + warmUpMs) + 20_000;
  const { stdout } = await execute(process.execPath, argv, { timeout });
  return JSON.parse(stdout) as LoadReport;
}

function keyOf(name: string, inFlight: number): string {
  return `${name} ${String(inFlight)}`;
}

function figure(values: readonly number[]): Figure {
  const sorted = [...values].sort((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] ?? NaN;
  const lower = sorted[sorted.length % 2 === 0 ? half - 1 : half] ?? NaN;
  return {
    median: (lower + upper) / 2,
    least: sorted[0] ?? NaN,
    most: sorted.at(-1) ?? NaN,
  };
}
