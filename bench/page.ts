// docs/performance.md: prose of ours, and between marks what was measured.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import type { Measured } from "./section.js";

const PAGE = "docs/performance.md";
const PLOTS = "docs/performance";

/** Whose figures these are. */
export function machine(): string {
  const [first] = cpus();
  return `Measured on ${String(cpus().length)} × ${first?.model.trim() ?? "unknown"}, Node ${process.version}.`;
}

/** Puts what a section gave between its marks, and whose figures they are; draws its plot. */
export async function writeIntoPage(section: string, { markdown, plot }: Measured): Promise<void> {
  const page = await readFile(PAGE, "utf8");
  const begin = `<!-- measured: ${section}: begin -->`;
  const end = `<!-- measured: ${section}: end -->`;
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from === -1 || to < from) throw new Error(`${PAGE} has no place marked for "${section}"`);
  const text = `${page.slice(0, from)}${begin}\n\n${machine()}\n\n${markdown}\n\n${page.slice(to)}`;
  await writeFile(PAGE, text);
  if (plot === undefined) return;
  const { plotted } = await import("./plot.js"); // slow to load
  await mkdir(PLOTS, { recursive: true });
  await writeFile(`${PLOTS}/${section}.svg`, await plotted(plot));
}
