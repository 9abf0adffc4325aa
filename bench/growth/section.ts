// What an acquire and a release cost when ten times, and a hundred times, as much is there already.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { figure, type Figure } from "../figures.js";
import { ratio, table, whole } from "../markdown.js";
import { runProgram } from "../run-program.js";
import type { Run, Section } from "../section.js";
import { startDaemon, type Contender } from "../servers.js";
import { usageOf } from "../usage.js";
import type { LoadOrder, LoadReport } from "../unary/programs/load.js";
import type { CrowdOrder } from "./programs/crowd.js";

const STORE = "sqlite";
const LOAD = { inFlight: 64, connections: 8 };
const CROWD_WITHIN_MS = 120_000;

type What = CrowdOrder["what"];

// 100 000 may wait, and those who are measured wait for a moment, too.
const LEVELS: Readonly<Record<What, readonly number[]>> = {
  left: [1000, 10_000, 100_000],
  held: [1000, 10_000, 100_000],
  waiting: [1000, 10_000, 90_000],
};
const QUICK_LEVELS: readonly number[] = [100, 1000];

const TITLES: Readonly<Record<What, string>> = {
  left: "leases in the store, kept by nobody",
  held: "leases held on Hold streams",
  waiting: "callers waiting, for 100 other resources",
};

interface Row {
  readonly what: What;
  readonly count: number;
  /** Of the daemon where they are, and of one where nothing is, one after the other. */
  readonly cpuUsPerPair: Figure;
  readonly emptyCpuUsPerPair: Figure;
  readonly pairsPerSecond: Figure;
  readonly emptyPairsPerSecond: Figure;
}

export const growth: Section = {
  name: "growth",
  what: "acquire and release beside ever more leases and waiters, over SQLite",
  async measure(run) {
    const kind = run.stores.find(({ type }) => type === STORE);
    if (kind === undefined) throw new Error(`this section is played on ${STORE}: choose it, too`);
    const figures: Row[] = [];
    for (const what of Object.keys(LEVELS) as What[]) {
      await using full = await startDaemon(kind);
      await using empty = await startDaemon(kind);
      figures.push(...(await grow(what, full, empty, run)));
    }
    return { markdown: tableOf(figures), figures };
  },
};

async function grow(
  what: What,
  full: Contender,
  empty: Contender,
  run: Run,
): Promise<readonly Row[]> {
  const crowds: ChildProcess[] = [];
  const rows: Row[] = [];
  try {
    // Of the same age: a program that has just begun is slower.
    for (const daemon of [full, empty]) await measure(daemon, run);
    let from = 0;
    for (const to of run.isQuick ? QUICK_LEVELS : LEVELS[what]) {
      run.tell(`${whole(to)} ${TITLES[what]}`);
      const order: CrowdOrder = {
        ...{ address: full.address, what, from, to, withinMs: CROWD_WITHIN_MS },
      };
      const crowd = spawn(
        process.execPath,
        [run.program("growth/programs/crowd"), JSON.stringify(order)],
        {
          stdio: ["ignore", "pipe", "inherit"],
        },
      );
      crowds.push(crowd);
      await ready(crowd);
      rows.push({ what, count: to, ...(await compare(full, empty, run)) });
      from = to;
    }
    return rows;
  } finally {
    for (const crowd of crowds) crowd.kill("SIGKILL");
  }
}

async function ready(crowd: ChildProcess): Promise<void> {
  const ended = once(crowd, "exit").then(([code]) => {
    throw new Error(`the crowd has ended with ${String(code)}`);
  });
  if (crowd.stdout === null) throw new Error("the crowd has no voice");
  await Promise.race([once(crowd.stdout, "data"), ended]);
  ended.catch(() => undefined);
}

async function compare(
  full: Contender,
  empty: Contender,
  run: Run,
): Promise<Omit<Row, "what" | "count">> {
  const seen = { full: [] as Seen[], empty: [] as Seen[] };
  for (let round = 0; round < (run.isQuick ? 1 : 2); round++) {
    seen.full.push(await measure(full, run));
    seen.empty.push(await measure(empty, run));
  }
  const cpu = ({ cpuUsPerPair }: Seen): number => cpuUsPerPair;
  const rate = ({ pairsPerSecond }: Seen): number => pairsPerSecond;
  return {
    cpuUsPerPair: figure(seen.full.map(cpu)),
    emptyCpuUsPerPair: figure(seen.empty.map(cpu)),
    pairsPerSecond: figure(seen.full.map(rate)),
    emptyPairsPerSecond: figure(seen.empty.map(rate)),
  };
}

type Seen = LoadReport & { readonly cpuUsPerPair: number };

async function measure({ address, pid }: Contender, { isQuick, program }: Run): Promise<Seen> {
  const length = isQuick ? { ms: 600, warmUpMs: 300 } : { ms: 1000, warmUpMs: 300 };
  const order: LoadOrder = { address, ...LOAD, ...length };
  const before = await usageOf(pid);
  const report = await runProgram<LoadReport>(program("unary/programs/load"), order, 30_000);
  const { cpuMs } = await usageOf(pid);
  return { ...report, cpuUsPerPair: ((cpuMs - before.cpuMs) * 1000) / report.allPairs };
}

function tableOf(rows: readonly Row[]): string {
  return table(
    ["beside", "CPU µs a pair", "of an empty daemon's", "pairs/s", "of an empty daemon's"],
    rows.map(({ what, count, ...row }) => [
      `${whole(count)} ${TITLES[what]}`,
      whole(row.cpuUsPerPair.median),
      ratio(row.cpuUsPerPair.median / row.emptyCpuUsPerPair.median),
      whole(row.pairsPerSecond.median),
      ratio(row.pairsPerSecond.median / row.emptyPairsPerSecond.median),
    ]),
  );
}
