import type { Figure } from "./figures.js";

/** A table whose first column holds words, and the others numbers. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [
    line(head),
    line(head.map((_, at) => (at === 0 ? "---" : "--:"))),
    ...rows.map(line),
  ].join("\n");
}

/** With a thin space at the thousands. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString("en").replaceAll(",", " ");
}

export function ratio(value: number): string {
  return value.toFixed(2);
}

/** The median, with the least and the most in brackets. */
export function spread({ median, least, most }: Figure, show = whole): string {
  return `${show(median)} (${show(least)}–${show(most)})`;
}
