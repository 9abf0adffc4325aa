// Acquire and Release, pipelined over Hold streams, beside what a gRPC stream can do by itself.

import { figure, type Figure } from "../figures.js";
import { ratio, spread, table, whole } from "../markdown.js";
import { runProgram } from "../run-program.js";
import type { Plot } from "../plot.js";
import type { Run, Section } from "../section.js";
import { Server, startDaemon, type Contender } from "../servers.js";
import { usageOf } from "../usage.js";
import type { StreamOrder, StreamReport } from "./programs/load.js";

const ECHO = "echo";
const STREAMS = 8;
/** How many pairs are in flight on each stream. */
const DEPTHS = [1, 8, 64];
/** Those whose transactions, scripts and statements take many questions at once. */
const STORES: readonly string[] = ["sqlite", "redis", "postgresql"];

interface Row {
  readonly contender: string;
  readonly depth: number;
  readonly pairsPerSecond: Figure;
  /** The store's own process not counted. */
  readonly cpuUsPerPair: Figure;
  /** Of one acquire. */
  readonly p50Ms: Figure;
  readonly p99Ms: Figure;
}

type Seen = StreamReport & { readonly cpuUsPerPair: number };

export const stream: Section = {
  name: "stream",
  what: `acquire and release, pipelined over ${String(STREAMS)} Hold streams`,
  async measure(run) {
    const contenders: Contender[] = [];
    try {
      contenders.push(await startEcho(run.program("stream/programs/echo")));
      for (const kind of run.stores) {
        if (STORES.includes(kind.type)) contenders.push(await startDaemon(kind));
      }
      const figures = await playRounds(contenders, run);
      const markdown = DEPTHS.map((depth) => tableOf(figures, depth)).join("\n\n");
      return { markdown, figures, plot: plotOf(figures) };
    } finally {
      for (const contender of contenders.reverse()) await contender[Symbol.asyncDispose]();
    }
  },
};

async function startEcho(program: string): Promise<Contender> {
  const server = await Server.start([program]);
  return {
    ...{ name: ECHO, address: server.address, pid: server.pid },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function playRounds(
  contenders: readonly Contender[],
  { isQuick, tell, program }: Run,
): Promise<readonly Row[]> {
  const rounds = isQuick ? 1 : 3;
  const length = isQuick ? { ms: 600, warmUpMs: 300 } : { ms: 1500, warmUpMs: 600 };
  const seen = new Map<string, Seen[]>();
  for (let round = 1; round <= rounds; round++) {
    for (const pairs of DEPTHS) {
      tell(
        `round ${String(round)} of ${String(rounds)}, ${String(pairs)} in flight on each stream`,
      );
      for (const { name, address, pid } of contenders) {
        const order: StreamOrder = { address, streams: STREAMS, pairs, ...length };
        const before = await usageOf(pid);
        const path = program("stream/programs/load");
        const report = await runProgram<StreamReport>(path, order, 10 * length.ms + 20_000);
        const cpuMs = (await usageOf(pid)).cpuMs - before.cpuMs;
        const key = keyOf(name, pairs);
        const all = seen.get(key) ?? [];
        seen.set(key, all);
        all.push({ ...report, cpuUsPerPair: (cpuMs * 1000) / report.allPairs });
      }
    }
  }
  return contenders.flatMap(({ name }) =>
    DEPTHS.map((depth): Row => {
      const all = seen.get(keyOf(name, depth)) ?? [];
      const of = (read: (one: Seen) => number): Figure => figure(all.map(read));
      return {
        ...{ contender: name, depth },
        pairsPerSecond: of(({ pairsPerSecond }) => pairsPerSecond),
        cpuUsPerPair: of(({ cpuUsPerPair }) => cpuUsPerPair),
        p50Ms: of(({ p50Ms }) => p50Ms),
        p99Ms: of(({ p99Ms }) => p99Ms),
      };
    }),
  );
}

function keyOf(name: string, depth: number): string {
  return `${name} ${String(depth)}`;
}

function plotOf(rows: readonly Row[]): Plot {
  return {
    title: `Acquire + Release over ${String(STREAMS)} Hold streams, durable`,
    ...{ xTitle: "pairs in flight on each stream", yTitle: "pairs a second" },
    steps: DEPTHS.map(String),
    points: rows.map(({ contender: line, depth, pairsPerSecond }) => ({
      ...{ line, step: String(depth), value: pairsPerSecond.median },
    })),
  };
}

function tableOf(all: readonly Row[], depth: number): string {
  const rows = all.filter((row) => row.depth === depth);
  const echo = rows.find(({ contender }) => contender === ECHO)?.pairsPerSecond.median ?? NaN;
  return [
    `### ${String(depth)} in flight on each stream`,
    "",
    table(
      ["", "pairs/s", "of the echo", "CPU µs a pair", "p50 ms", "p99 ms"],
      rows.map(({ contender, pairsPerSecond, cpuUsPerPair, p50Ms, p99Ms }) => [
        contender,
        spread(pairsPerSecond),
        contender === ECHO ? "1" : ratio(pairsPerSecond.median / echo),
        whole(cpuUsPerPair.median),
        p50Ms.median.toFixed(1),
        p99Ms.median.toFixed(1),
      ]),
    ),
  ].join("\n");
}
