// docs/performance.md: prose of ours, and between marks what was measured.

import { readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";

const PAGE = "docs/performance.md";

/** Whose figures these are. */
export function machine(): string {
  const [first] = cpus();
  return `Measured on ${String(cpus().length)} × ${first?.model.trim() ?? "unknown"}, Node ${process.version}.`;
}

/** Puts what a section gave between its marks, and below it whose figures they are. */
export async function writeIntoPage(section: string, markdown: string): Promise<void> {
  const page = await readFile(PAGE, "utf8");
  const begin = `<!-- measured: ${section}: begin -->`;
  const end = `<!-- measured: ${section}: end -->`;
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from === -1 || to < from) throw new Error(`${PAGE} has no place marked for "${section}"`);
  const text = `${page.slice(0, from)}${begin}\n\n${machine()}\n\n${markdown}\n\n${page.slice(to)}`;
  await writeFile(PAGE, text);
}
