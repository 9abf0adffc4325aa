import type { ProcessId } from "./process-table.js";
import type { Processes } from "./process-tree.js";

/**
 * What can be ended where there is no /proc: the command's process group if it leads one of
 * its own, else the command alone, since its group is that of the caller's script too.
 */
export class ProcessGroup implements Processes {
  readonly #leadsGroup: boolean;
  /** A group that has one that we may signal is not another user's. */
  readonly foreign = 0;
  #target: number | undefined;

  constructor(leadsGroup: boolean) {
    this.#leadsGroup = leadsGroup;
  }

  setRoot(root: ProcessId): void {
    this.#target = this.#leadsGroup ? -root.pid : root.pid;
  }

  count(): number {
    return this.#signal(0);
  }

  terminate(): void {
    this.#signal("SIGTERM");
    this.#signal("SIGCONT");
  }

  kill(): number {
    return this.#signal("SIGKILL");
  }

  killIfMember(pid: number): void {
    if (pid === this.#target) this.kill();
  }

  #signal(signal: NodeJS.Signals | 0): number {
    if (this.#target === undefined) return 0;
    try {
      process.kill(this.#target, signal);
      return 1;
    } catch {
      return 0;
    }
  }
}
