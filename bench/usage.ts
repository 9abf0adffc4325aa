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
  const fields = await statOf(String(pid));
  // utime and stime, the 14th and 15th field of the file
  const ticks = (fields[11] ?? NaN) + (fields[12] ?? NaN);
  return {
    cpuMs: (ticks * 1000) / TICKS_PER_SECOND,
    rssBytes: (fields[21] ?? NaN) * PAGE_BYTES,
  };
}

/**
 * Time on a CPU of all children of this process that have ended, in ms; told in steps of 10 ms.
 * @throws where there is no /proc
 */
export async function endedChildrenCpuMs(): Promise<number> {
  const fields = await statOf("self");
  // cutime and cstime
  const ticks = (fields[13] ?? NaN) + (fields[14] ?? NaN);
  return (ticks * 1000) / TICKS_PER_SECOND;
}

// Without the first two: the program's name may hold anything.
async function statOf(pid: string): Promise<readonly number[]> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  return stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .map(Number);
}
