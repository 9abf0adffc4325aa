// A daemon that is asked for three times the acquires it can answer, while leases with a short
// ttl are held: whether these are kept, and what becomes of those who ask.

import { figure, type Figure } from "../figures.js";
import { ratio, table, whole } from "../markdown.js";
import { runProgram } from "../run-program.js";
import type { Run, Section } from "../section.js";
import { startDaemon } from "../servers.js";
import { Holders } from "./holders.js";
import { delaysOf, delayWithinMs } from "./loop-delay.js";
import type { FloodOrder, FloodReport } from "./programs/flood.js";
import type { HoldersReport } from "./programs/holders.js";

const HOLDERS = { streams: 25, leases: 40, ttlMs: 3000 };
// As many as are told to be its capacity elsewhere on the page.
const IN_FLIGHT = 64;
const TIMES = 3;
const CALLERS = { connections: 8, deadlineMs: 5000 };

interface Result {
  readonly store: string;
  /** Acquires a second of IN_FLIGHT callers who ask again when answered. */
  readonly capacity: Figure;
  readonly offered: number;
  readonly flood: FloodReport;
  readonly holders: HoldersReport;
  /** In 99 of 100 looks the event loop was late by no more than this. */
  readonly fullDelayMs: number;
  readonly overloadDelayMs: number;
}

export const overload: Section = {
  name: "overload",
  what: `${String(TIMES)} times the acquires that a daemon can answer, while leases are held`,
  async measure(run) {
    const figures: Result[] = [];
    for (const kind of run.stores.filter(({ type }) => type === STORE)) {
      await using daemon = await startDaemon(kind);
      figures.push(await measure(daemon.name, daemon.address, run));
    }
    return { markdown: tableOf(figures), figures };
  },
};

// One over which the daemon is the limit, and not the store.
const STORE = "sqlite";

async function measure(
  store: string,
  address: string,
  { isQuick, program, tell }: Run,
): Promise<Result> {
  const length = isQuick ? { ms: 1500, warmUpMs: 500 } : { ms: 4000, warmUpMs: 1000 };
  const flood = (order: Partial<FloodOrder>): Promise<FloodReport> => {
    const whole: FloodOrder = { address, ...CALLERS, ...length, ...order };
    const mostMs = whole.warmUpMs + whole.ms + whole.deadlineMs + 20_000;
    return runProgram<FloodReport>(program("overload/programs/flood"), whole, mostMs);
  };
  await using holders = await Holders.start(program("overload/programs/holders"), {
    ...{ address, ...HOLDERS },
  });
  tell(`${store}: its capacity`);
  const rates: number[] = [];
  const before = await delaysOf(address);
  for (let round = 0; round < 2; round++) {
    rates.push((await flood({ inFlight: IN_FLIGHT })).perSecond.granted);
  }
  const full = await delaysOf(address);
  const capacity = figure(rates);
  const offered = TIMES * capacity.median;
  tell(`${store}: ${whole(offered)} acquires a second, of which it can answer ${ratio(1 / TIMES)}`);
  // What a daemon takes for a burst at the beginning is not counted.
  const warmUpMs = isQuick ? 3000 : 4000;
  const flooded = await flood({ perSecond: offered, warmUpMs, ms: 2 * length.ms });
  const overloaded = await delaysOf(address);
  return {
    ...{ store, capacity, offered, flood: flooded },
    holders: await holders.report(),
    fullDelayMs: delayWithinMs(before, full, 0.99),
    overloadDelayMs: delayWithinMs(full, overloaded, 0.99),
  };
}

function tableOf(results: readonly Result[]): string {
  const of = (part: number, all: number): string => ratio(part / all);
  const rows: readonly [string, (result: Result) => string][] = [
    [
      `acquires/s with ${String(IN_FLIGHT)} in flight: its capacity`,
      ({ capacity }) => whole(capacity.median),
    ],
    ["acquires/s that come under overload", ({ offered }) => whole(offered)],
    [
      "of those: granted, as a share of the capacity",
      ({ flood, capacity }) => of(flood.perSecond.granted, capacity.median),
    ],
    [
      "refused as UNAVAILABLE, of all",
      ({ flood, offered }) => of(flood.perSecond.refused, offered),
    ],
    ["not answered within 5 s, of all", ({ flood, offered }) => of(flood.perSecond.late, offered)],
    [
      "a grant takes, p50 / p99 ms",
      ({ flood }) => `${whole(flood.grantedMs.p50)} / ${whole(flood.grantedMs.p99)}`,
    ],
    [
      "a refusal takes, p50 / p99 ms",
      ({ flood }) => `${whole(flood.refusedMs.p50)} / ${whole(flood.refusedMs.p99)}`,
    ],
    [
      `held leases lost, of ${String(HOLDERS.streams * HOLDERS.leases)}`,
      ({ holders }) => whole(holders.lost),
    ],
    ["renewals that came late", ({ holders }) => whole(holders.late)],
    ["of its ttl, a holder had left at the least", ({ holders }) => ratio(holders.leastLeftShare)],
    ["event loop late, p99, at its capacity: ms", ({ fullDelayMs }) => `≤ ${whole(fullDelayMs)}`],
    [
      "event loop late, p99, under overload: ms",
      ({ overloadDelayMs }) => `≤ ${whole(overloadDelayMs)}`,
    ],
  ];
  return table(
    ["", ...results.map(({ store }) => store)],
    rows.map(([name, cell]) => [name, ...results.map(cell)]),
  );
}
