// Durations as people write them: `500ms`, `30s`, `1h30m`, and the older tool's
// `4 seconds`, `1 day`. A bare number is refused: nobody can tell its unit.

// Largest first. Of a shortened word the first fit counts, as the older tool has it: "m" and
// "mi" are minutes. Only the symbol "ms" comes before that.
const UNITS = [
  { symbol: "d", word: "days", ms: 86_400_000 },
  { symbol: "h", word: "hours", ms: 3_600_000 },
  { symbol: "m", word: "minutes", ms: 60_000 },
  { symbol: "s", word: "seconds", ms: 1000 },
  { symbol: "ms", word: "milliseconds", ms: 1 },
] as const;

/** What parseDuration understands, for messages. */
export const DURATION_FORM = "a whole number with a unit, such as 500ms, 30s, 5m, 1h30m or 1d";

// Longer than any ttl or wait can be, and far from where numbers lose their units.
const LONGEST_MS = 10_000 * 86_400_000;

const WHOLE = /^(?:[0-9]+ *[a-z]+ *)*[0-9]+ *[a-z]+$/u;
const PART = /([0-9]+) *([a-z]+)/gu;

/**
 * The milliseconds of a duration that somebody wrote: numbers with units, each unit smaller
 * than the one before it.
 * @returns undefined when it is none, or longer than 10 000 days
 */
export function parseDuration(text: string): number | undefined {
  if (!WHOLE.test(text)) return undefined;
  let totalMs = 0;
  let lastUnitMs = Infinity;
  for (const [, amount, unit] of text.matchAll(PART)) {
    const unitMs = millisecondsOf(unit ?? "");
    if (unitMs === undefined || unitMs >= lastUnitMs) return undefined;
    totalMs += Number(amount) * unitMs;
    lastUnitMs = unitMs;
  }
  return totalMs <= LONGEST_MS ? totalMs : undefined;
}

function millisecondsOf(unit: string): number | undefined {
  const bySymbol = UNITS.find(({ symbol }) => symbol === unit);
  return (bySymbol ?? UNITS.find(({ word }) => word.startsWith(unit)))?.ms;
}

/** The shortest exact way to write a duration of whole milliseconds: `1h30m`, `1s500ms`, `0s`. */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms)) return `${String(ms)}ms`;
  let left = Math.round(Math.abs(ms));
  let text = "";
  for (const { symbol, ms: unitMs } of UNITS) {
    const count = Math.floor(left / unitMs);
    if (count > 0) text += `${String(count)}${symbol}`;
    left -= count * unitMs;
  }
  if (text === "") return "0s";
  return ms < 0 ? `-${text}` : text;
}
