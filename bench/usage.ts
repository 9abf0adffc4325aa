// What a process costs, as the kernel counts it.

import { readFile } from "node:fs/promises";

// Linux tells CPU time in these, on every machine that Node runs on (sysconf _SC_CLK_TCK).
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;

export interface Usage {
  /** Time on a CPU since it began, of all its threads, in ms; told in steps of 10 ms. */
  readonly cpuMs: number;
  readonly rssBytes: number;
}

/** @throws where there is no such process, or no /proc */
export async function usageOf(pid: number): Promise<Usage> {
  const stat = await readFile(`/proc/${String(pid)}/stat`, "utf8");
  // After the program's name, which may hold anything: utime and stime are the 14th and 15th field.
  const fields = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .map(Number);
  const ticks = (fields[11] ?? NaN) + (fields[12] ?? NaN);
  return {
    cpuMs: (ticks * 1000) / TICKS_PER_SECOND,
    rssBytes: (fields[21] ?? NaN) * PAGE_BYTES,
  };
}
