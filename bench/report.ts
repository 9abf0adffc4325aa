// What was measured, as the tables of docs/performance.md.

import { readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import type { Figure, Result } from "./rounds.js";

const BEGIN = "<!-- measured by make bench: begin -->";
const END = "<!-- measured by make bench: end -->";

const FLOOR = "floor";

/** The tables. Ratios first: absolute figures belong to the machine. */
export function tables(results: readonly Result[]): string {
  const levels = [...new Set(results.map(({ inFlight }) => inFlight))];
  const machine = `${String(cpus().length)} × ${cpus()[0]?.model.trim() ?? "unknown"}, Node ${process.version}`;
  return [
    `Measured on ${machine}. Medians, with the least and the most of the rounds in brackets.`,
    ...levels.map((inFlight) => table(results, inFlight)),
  ].join("\n\n");
}

function table(results: readonly Result[], inFlight: number): string {
  const rows = results.filter((result) => result.inFlight === inFlight);
  const floor = rows.find(({ contender }) => contender === FLOOR)?.pairsPerSecond.median ?? NaN;
  const lines = rows.map((row) => {
    const { pairsPerSecond: through, storePairsPerSecond: alone } = row;
    const ofStore = alone === undefined ? "-" : ratio(through.median / alone.median);
    return [
      row.contender,
      spread(through),
      row.contender === FLOOR ? "1" : ratio(through.median / floor),
      alone === undefined ? "-" : spread(alone),
      ofStore,
      row.p50Ms.median.toFixed(1),
      row.p99Ms.median.toFixed(1),
    ];
  });
  return [
    `### ${String(inFlight)} in flight`,
    "",
    line(["", "pairs/s", "of the floor", "store alone, pairs/s", "of that", "p50 ms", "p99 ms"]),
    line(["---", "--:", "--:", "--:", "--:", "--:", "--:"]),
    ...lines.map(line),
  ].join("\n");
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

function ratio(value: number): string {
  return value.toFixed(2);
}

function spread({ median, least, most }: Figure): string {
  return `${whole(median)} (${whole(least)}–${whole(most)})`;
}

function whole(value: number): string {
  return Math.round(value).toLocaleString("en").replaceAll(",", " ");
}

/** Puts the tables into a page, between its two marks. */
export async function writeInto(path: string, text: string): Promise<void> {
  const page = await readFile(path, "utf8");
  const from = page.indexOf(BEGIN);
  const to = page.indexOf(END);
  if (from === -1 || to < from) throw new Error(`${path} has no place marked for the tables`);
  await writeFile(path, `${page.slice(0, from)}${BEGIN}\n\n${text}\n\n${page.slice(to)}`);
}
