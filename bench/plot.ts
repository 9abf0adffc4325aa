// Lines over a few steps, as an SVG that can be read on light and on dark pages.

import { parse, View, type Spec } from "vega";

export interface Plot {
  readonly title: string;
  readonly xTitle: string;
  readonly yTitle: string;
  /** From left to right, at equal distances. */
  readonly steps: readonly string[];
  /** A line for each name; points that were not measured are left out. */
  readonly points: readonly Point[];
}

export interface Point {
  readonly line: string;
  readonly step: string;
  readonly value: number;
}

const INK = "#808080";

/** @returns the text of the file */
export async function plotted(plot: Plot): Promise<string> {
  const view = new View(parse(specOf(plot)), { renderer: "none" });
  const svg = await view.toSVG();
  view.finalize();
  return `${svg}\n`;
}

function specOf({ title, xTitle, yTitle, steps, points }: Plot): Spec {
  const words = { labelColor: INK, titleColor: INK, domainColor: INK, tickColor: INK };
  return {
    ...{ width: 480, height: 260, padding: 8 },
    title: { text: title, color: INK, offset: 12 },
    data: [{ name: "points", values: points.filter(({ value }) => Number.isFinite(value)) }],
    scales: [
      { name: "x", type: "point", domain: [...steps], range: "width", padding: 0.3 },
      {
        ...{ name: "y", type: "linear", range: "height", nice: true, zero: true },
        domain: { data: "points", field: "value" },
      },
      {
        ...{ name: "line", type: "ordinal", range: { scheme: "tableau10" } },
        domain: { data: "points", field: "line" },
      },
    ],
    axes: [
      { orient: "bottom", scale: "x", title: xTitle, ...words },
      {
        ...{ orient: "left", scale: "y", title: yTitle, ...words },
        ...{ grid: true, gridColor: INK, gridOpacity: 0.25 },
      },
    ],
    legends: [{ stroke: "line", labelColor: INK, symbolType: "stroke", symbolStrokeWidth: 3 }],
    marks: [
      {
        type: "group",
        from: { facet: { name: "one", data: "points", groupby: "line" } },
        marks: [
          {
            ...{ type: "line", from: { data: "one" } },
            encode: {
              enter: {
                x: { scale: "x", field: "step" },
                y: { scale: "y", field: "value" },
                stroke: { scale: "line", field: "line" },
                strokeWidth: { value: 2.5 },
              },
            },
          },
          {
            ...{ type: "symbol", from: { data: "one" } },
            encode: {
              enter: {
                x: { scale: "x", field: "step" },
                y: { scale: "y", field: "value" },
                fill: { scale: "line", field: "line" },
                size: { value: 45 },
              },
            },
          },
        ],
      },
    ],
  };
}
