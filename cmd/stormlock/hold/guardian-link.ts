import { LockError } from "../../../src/lock/errors.js";
import type { ToGuardian } from "./guardian-messages.js";
import { GuardianProcess } from "./guardian-process.js";
import type { HostMoment } from "./host-time.js";
import type { ProcessId } from "./process-table.js";

/** What is to be guarded: a command that is about to start, or files that are about to appear. */
export type GuardOrder = Extract<ToGuardian, { say: "guard" | "guard-files" }>;

export interface GuardianLinkEvents {
  /** The guardian has asked the command to end, or has removed the files. */
  terminating(): void;
  /** There is no guardian, and none can be had: the command must end, the files must go. */
  unguarded(): void;
}

const ATTEMPTS = 3;
// Somebody who kills every guardian wants something that we cannot give.
const MOST_GUARDIANS = 10;

/**
 * Sees to it that a guardian watches over a command or over files, and starts another one when it is killed or
 * falls silent. In the 30-90 ms until the next is ready the wrapper's own watch does the work.
 */
export class GuardianLink implements AsyncDisposable {
  #process: GuardianProcess | undefined;
  #started = 1;
  #order: GuardOrder | undefined;
  #child: ProcessId | undefined;
  #isAsked = false;
  #events: GuardianLinkEvents | undefined;
  #closed = false;
  #establishing = false;

  /** Starts a guardian at once, so that it is ready when the lock has been taken. */
  constructor() {
    this.#process = this.#start();
  }

  /** The process id of the present guardian. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /**
   * Puts a command that is about to start under guard, or files in the place of earlier ones. It may
   * take seconds: `sayDeadline` is to tell of those deadlines, too, that come in the meantime.
   * @param events may hear something before this resolves
   * @throws LockError "internal" when no guardian can be started: then nothing may run or appear
   */
  async guard(order: GuardOrder, events: GuardianLinkEvents): Promise<void> {
    this.#order = order;
    this.#events = events;
    if (!(await this.#establish())) {
      this.#events = undefined;
      const what =
        order.say === "guard"
          ? "the command was not started: the guardian, which would end it"
          : "no file was written: the guardian, which would remove it";
      throw new LockError(
        "internal",
        `${what} when the lock is lost, could not be started with ${process.execPath}`,
      );
    }
  }

  /** The command runs. */
  sayChild(child: ProcessId): void {
    this.#child = child;
    this.#process?.say({ say: "child", ...child });
  }

  sayDeadline(deadline: HostMoment): void {
    if (this.#order !== undefined) this.#order = { ...this.#order, deadline };
    this.#process?.sayDeadline(deadline);
  }

  /** The command has been asked to end; the guardian kills it after the grace. */
  sayAsked(): void {
    this.#isAsked = true;
    this.#process?.say({ say: "asked" });
  }

  /** Ends the guardian. Nothing may be left that it would have to guard. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#process?.dismiss();
  }

  #start(): GuardianProcess | undefined {
    try {
      const started = new GuardianProcess({
        terminating: () => {
          // One that was given up has nothing to say any more.
          if (started === this.#process) this.#events?.terminating();
        },
        died: () => {
          // One that dies while no command is guarded is replaced when one is about to be.
          if (!this.#closed && this.#events !== undefined) void this.#replace();
        },
      });
      return started;
    } catch {
      return undefined; // The host has no room for it.
    }
  }

  async #replace(): Promise<void> {
    if (this.#establishing) return;
    if (!(await this.#establish())) this.#events?.unguarded();
  }

  async #establish(): Promise<boolean> {
    this.#establishing = true;
    try {
      for (let attempt = 0; attempt < ATTEMPTS && !this.#closed; attempt++) {
        if (this.#process?.isAlive !== true) {
          if (this.#started >= MOST_GUARDIANS) return false;
          this.#started++;
          this.#process = this.#start();
        }
        const guardian = this.#process;
        if (guardian === undefined || this.#order === undefined) return false;
        if (await guardian.guard(this.#order)) {
          if (this.#child !== undefined) guardian.say({ say: "child", ...this.#child });
          if (this.#isAsked) guardian.say({ say: "asked" });
          return true;
        }
        guardian.kill();
      }
      return this.#closed;
    } finally {
      this.#establishing = false;
    }
  }
}
