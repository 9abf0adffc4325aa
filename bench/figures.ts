/** The middle of what several rounds gave, with the least and the most. */
export interface Figure {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** NaN where there are none. */
export function figure(values: readonly number[]): Figure {
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

/** The value below which this share of them lies. NaN where there are none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}
