// Acquire and Release, one call each, over each store: beside what gRPC and the store by
// themselves can do on the same machine in the same minutes.

import { ratio, spread, table, whole } from "../markdown.js";
import type { Plot } from "../plot.js";
import type { Section } from "../section.js";
import { startDaemon, startFloor, type Contender } from "../servers.js";
import { playRounds, type Result } from "./rounds.js";

const FLOOR = "floor";
const IN_FLIGHT = [1, 8, 64, 256];

export const unary: Section = {
  name: "unary",
  what: "acquire and release, one call each, over each store",
  async measure({ isQuick, stores, tell, program }) {
    const contenders: Contender[] = [];
    try {
      contenders.push(await startFloor(program("unary/programs/floor")));
      for (const kind of stores) contenders.push(await startDaemon(kind));
      const length = isQuick
        ? { rounds: 1, ms: 700, warmUpMs: 300 }
        : { rounds: 3, ms: 1200, warmUpMs: 700 };
      const figures = await playRounds(
        contenders,
        { inFlight: IN_FLIGHT, program, ...length },
        tell,
      );
      const markdown = IN_FLIGHT.map((level) => tableOf(figures, level)).join("\n\n");
      return { markdown, figures, plot: plotOf(figures) };
    } finally {
      for (const contender of contenders.reverse()) await contender[Symbol.asyncDispose]();
    }
  },
};

function plotOf(results: readonly Result[]): Plot {
  return {
    ...{ title: "Acquire + Release, durable", xTitle: "pairs in flight", yTitle: "of the floor" },
    steps: IN_FLIGHT.map(String),
    points: results
      .filter(({ contender }) => contender !== FLOOR)
      .map(({ contender: line, inFlight, pairsPerSecond }) => ({
        ...{ line, step: String(inFlight) },
        value: pairsPerSecond.median / floorOf(results, inFlight),
      })),
  };
}

function floorOf(results: readonly Result[], level: number): number {
  const floor = results.find(
    ({ contender, inFlight }) => contender === FLOOR && inFlight === level,
  );
  return floor?.pairsPerSecond.median ?? NaN;
}

function tableOf(results: readonly Result[], inFlight: number): string {
  const rows = results.filter((result) => result.inFlight === inFlight);
  const floor = floorOf(results, inFlight);
  const head = [
    "",
    "pairs/s",
    "of the floor",
    "store alone, pairs/s",
    "of that",
    "CPU µs a pair",
    "p50 ms",
    "p99 ms",
  ];
  return [
    `### ${String(inFlight)} in flight`,
    "",
    table(
      head,
      rows.map(({ contender, pairsPerSecond: through, storePairsPerSecond: alone, ...row }) => [
        contender,
        spread(through),
        contender === FLOOR ? "1" : ratio(through.median / floor),
        alone === undefined ? "-" : spread(alone),
        alone === undefined ? "-" : ratio(through.median / alone.median),
        whole(row.cpuUsPerPair.median),
        row.p50Ms.median.toFixed(1),
        row.p99Ms.median.toFixed(1),
      ]),
    ),
  ].join("\n");
}
