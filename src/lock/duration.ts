// Durations as people write them: `500ms`, `30s`, `1h30m`, and the older tool's
// `4 seconds`, `1 day`. A bare number is refused: nobody can tell its unit.

const UNITS = [
  { symbol: "d", word: "days", ms: 86_400_000 },
  { symbol: "h", word: "hours", ms: 3_600_000 },
  { symbol: "m", word: "minutes", ms: 60_000 },
  { symbol: "s", word: "seconds", ms: 1000 },
  { symbol: "ms", word: "milliseconds", ms: 1 },
] as const;

/** What parseDuration understands, for messages. */
export const DURATION_FORM = "a number with a unit, such as 500ms, 30s, 5m, 1h30m or 1d";

// Longer than any ttl or wait can be, and far from where numbers lose their units.
const LONGEST_MS = 10_000 * 86_400_000;

/**
 * The milliseconds of a duration that somebody wrote.
 * @returns undefined when it is none, or longer than 10 000 days
 */
export function parseDuration(text: string): number | undefined {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)\s*([a-z]+)\s*/giuy)];
  const read = parts.reduce((length, part) => length + part[0].length, 0);
  const written = text.replace(/^\s+/u, "");
  if (parts.length === 0 || read !== written.length || written !== text) return undefined;
  let total = 0;
  for (const [, amount, unit] of parts) {
    const unitMs = millisecondsOf(unit ?? "");
    if (unitMs === undefined) return undefined;
    total += Number(amount) * unitMs;
  }
  const rounded = Math.round(total);
  return rounded <= LONGEST_MS ? rounded : undefined;
}

// A symbol wins; otherwise any prefix of a unit's word means it, as the older tool has it.
// Days come first in the list, milliseconds last: "m" and "mi" are minutes.
function millisecondsOf(unit: string): number | undefined {
  const lower = unit.toLowerCase();
  const bySymbol = UNITS.find(({ symbol }) => symbol === lower);
  return (bySymbol ?? UNITS.find(({ word }) => word.startsWith(lower)))?.ms;
}

/** The shortest exact way to write a duration: `1h30m`, `1.5s` as `1s500ms`, `0s`. */
export function formatDuration(ms: number): string {
  let left = Math.round(ms);
  let text = "";
  for (const { symbol, ms: unitMs } of UNITS) {
    const count = Math.floor(left / unitMs);
    if (count > 0) text += `${String(count)}${symbol}`;
    left -= count * unitMs;
  }
  return text === "" ? "0s" : text;
}
