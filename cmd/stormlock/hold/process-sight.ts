import { ProcessSet } from "./process-set.js";
import {
  BetweenPrograms,
  type ProcessId,
  type ProcessStat,
  type ProcessTable,
} from "./process-table.js";

/**
 * The table of processes, for somebody who has to go on where it cannot be read: with all file
 * descriptors in use, or when a process is between two programs. He learns what he has not seen.
 */
export class ProcessSight {
  readonly #table: ProcessTable;
  /** Those of which nobody knows yet what is in their environment. */
  readonly between = new ProcessSet();
  #isClear = true;

  constructor(table: ProcessTable) {
    this.#table = table;
  }

  /** Whether all could be seen since `clear`. */
  get isClear(): boolean {
    return this.#isClear;
  }

  clear(): void {
    this.#isClear = true;
  }

  /** Every number that is in use, the latest first: those are the likeliest to be gone in a moment. */
  pids(): number[] {
    const pids = this.#try(() => this.#table.pids(), []).sort((one, other) => other - one);
    const last = this.lastPid() ?? Infinity;
    // Those above the last one are from before the numbers began anew.
    const latest = pids.findIndex((pid) => pid <= last);
    return latest > 0 ? [...pids.slice(latest), ...pids.slice(0, latest)] : pids;
  }

  stat(pid: number): ProcessStat | undefined {
    return this.#try(() => this.#table.stat(pid), undefined);
  }

  variable(one: ProcessId, name: string): string | undefined {
    return this.#try(() => {
      try {
        return this.#table.variable(one.pid, name);
      } catch (error) {
        if (!(error instanceof BetweenPrograms)) throw error;
        this.between.add(one);
        return undefined;
      }
    }, undefined);
  }

  lastPid(): number | undefined {
    return this.#try(() => this.#table.lastPid(), undefined);
  }

  /** Whether it is gone for certain: it is not when it could not be seen. */
  isGone({ pid, startTicks }: ProcessId): boolean {
    return this.#try(() => this.#table.stat(pid)?.startTicks !== startTicks, false);
  }

  #try<T>(look: () => T, otherwise: T): T {
    try {
      return look();
    } catch {
      this.#isClear = false;
      return otherwise;
    }
  }
}
