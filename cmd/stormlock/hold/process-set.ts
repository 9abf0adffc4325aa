import type { ProcessId } from "./process-table.js";

/** Processes of which no number is mistaken for that of a later one. */
export class ProcessSet {
  readonly #startTicks = new Map<number, number>();

  constructor(processes: readonly ProcessId[] = []) {
    for (const one of processes) this.add(one);
  }

  add({ pid, startTicks }: ProcessId): void {
    this.#startTicks.set(pid, startTicks);
  }

  delete({ pid }: ProcessId): void {
    this.#startTicks.delete(pid);
  }

  clear(): void {
    this.#startTicks.clear();
  }

  get size(): number {
    return this.#startTicks.size;
  }

  has({ pid, startTicks }: ProcessId): boolean {
    return this.#startTicks.get(pid) === startTicks;
  }

  *[Symbol.iterator](): Generator<ProcessId> {
    for (const [pid, startTicks] of this.#startTicks) yield { pid, startTicks };
  }
}
