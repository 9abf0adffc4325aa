import { spawn, type ChildProcess } from "node:child_process";
import type { ChildEnd, Cut, OwnEnd } from "./hold/child-end.js";
import { DeadlineWatch } from "./hold/deadline-watch.js";
import type { GuardianLink } from "./hold/guardian-link.js";
import type { HeardSignals } from "./hold/heard-signals.js";
import { hostTime, msUntil, type HostMoment } from "./hold/host-time.js";
import { ProcessGroup } from "./hold/process-group.js";
import { ProcessTable, type ProcessId } from "./hold/process-table.js";
import { ProcessTree, type Processes } from "./hold/process-tree.js";
import type { OnLost } from "./hold/order.js";
import { say, type Say } from "./hold/say.js";
import { hasControllingTerminal } from "./hold/terminal.js";

export interface ChildOrder {
  readonly command: string;
  readonly args: readonly string[];
  /** With `marker` in it, see childEnvironment. */
  readonly env: NodeJS.ProcessEnv;
  readonly marker: string;
  /** How long before the deadline the command is asked to end. */
  readonly graceMs: number;
  /** The deadline as it stands when asked. */
  readonly deadline: () => HostMoment;
  /** What this process gets, for the command; one that has come before keeps it from starting. */
  readonly signals: HeardSignals;
  /** What a lost lock does to the command: "kill" when left out. */
  readonly onLost?: OnLost;
  /** Where to say what a person should know; on stderr when left out. */
  readonly say?: Say;
  /**
   * Hears, at most once, that the command left processes behind: how many have been ended, and how
   * many may not be, since they are another user's.
   */
  readonly leftBehind?: (ended: number, foreign: number) => void;
}

// The wrapper asks that much later than the guardian should have: a command that is asked twice
// may take it for impatience and drop what it is doing.
const SECOND_WATCH_LATE_MS = 200;
const PAUSE_MS = 10;
const INIT_PID = 1;
// What survives a kill for that long, or cannot be looked at, waits for a dead disk, and no signal
// can help.
const GIVE_UP_AFTER = 500;

/**
 * A command that runs under a lock. It is gone, with everything that it started, before anybody
 * else can hold the lock, and `ended` says so only then: a command that ends by itself and leaves
 * processes behind has these asked to end, and killed after the grace. Whoever wants a process to
 * outlive the lock must not start it under the lock.
 */
export class GuardedChild implements AsyncDisposable {
  /** Resolves when the command was reaped and nothing that it started is left. Never rejects. */
  readonly ended: Promise<ChildEnd>;
  readonly #guardian: GuardianLink;
  readonly #order: ChildOrder;
  readonly #processes: Processes;
  readonly #watch: DeadlineWatch;
  #deadline: HostMoment;
  #cut: Cut | undefined;
  #isAsked = false;

  /**
   * Runs a command under the eyes of a guardian.
   * @throws LockError "internal" when there is no guardian, "cancelled" when a signal came first;
   *   nothing was run then
   */
  static async start(guardian: GuardianLink, order: ChildOrder): Promise<GuardedChild> {
    const table = new ProcessTable();
    const hasTerminal = hasControllingTerminal(table);
    if (process.pid === INIT_PID) {
      (order.say ?? say)(
        "running as process 1: processes that lose their parent are reaped only under an init " +
          "(docker run --init; in a pod: shareProcessNamespace)",
      );
    }
    // What the guardian says together with its answer comes before there is a child.
    const begun: { child?: GuardedChild; isTooLate: boolean } = { isTooLate: false };
    const guarding = guardian.guard(
      {
        say: "guard",
        marker: order.marker,
        graceMs: order.graceMs,
        deadline: order.deadline(),
        endsAtDeadline: order.onLost !== "warn",
        leadsSession: !hasTerminal,
      },
      {
        terminating: () => {
          if (begun.child === undefined) begun.isTooLate = true;
          else begun.child.#guardianAsked();
        },
        unguarded: () => {
          if (begun.child !== undefined) begun.child.#endFor("unguarded");
        },
      },
    );
    await order.signals.orStopped(guarding);
    begun.child = new GuardedChild(guardian, order, table, hasTerminal, begun.isTooLate);
    return begun.child;
  }

  private constructor(
    guardian: GuardianLink,
    order: ChildOrder,
    table: ProcessTable,
    hasTerminal: boolean,
    isTooLate: boolean,
  ) {
    this.#guardian = guardian;
    this.#order = order;
    this.#deadline = order.deadline();
    const spared = [idOf(table, process.pid)];
    this.#processes = table.exists
      ? new ProcessTree({ table, marker: order.marker, leadsSession: !hasTerminal, spared })
      : new ProcessGroup(!hasTerminal);
    this.#watch = new DeadlineWatch({
      time: hostTime,
      graceMs: order.graceMs,
      deadline: this.#deadline,
      endsAtDeadline: this.#endsWhenLost,
      terminateLateMs: SECOND_WATCH_LATE_MS,
      terminate: () => {
        this.#processes.terminate();
      },
      kill: () => {
        this.#processes.kill();
      },
    });
    let child: ChildProcess | undefined;
    order.signals.forward(hasTerminal, (signal) => child?.kill(signal));
    if (isTooLate || this.#isTooLate) {
      this.#cut = "lost";
      this.ended = this.#finish({ kind: "not-started" });
      return;
    }
    // A terminal cannot be handed to another process group from here, and without being in the
    // foreground group there is no job control: so with one the command stays in ours. Without
    // one it gets a session of its own, which is easier to clear away.
    try {
      child = spawn(order.command, order.args, {
        stdio: "inherit",
        detached: !hasTerminal,
        env: order.env,
      });
    } catch (error) {
      this.ended = this.#finish(couldNotRun(order.command, error));
      return;
    }
    const root = child.pid === undefined ? undefined : idOf(table, child.pid);
    if (root !== undefined) {
      this.#processes.setRoot(root);
      guardian.sayChild(root);
    }
    this.ended = ownEnd(child, order.command).then((own) => this.#finish(own));
  }

  /** The lock is kept until then. */
  extend(deadline: HostMoment): void {
    this.#deadline = deadline;
    this.#watch.extend(deadline);
    this.#guardian.sayDeadline(deadline);
  }

  /**
   * The lock is lost: everything is asked to end now, and killed after the grace or at the
   * deadline. Where a loss is a warning alone, all goes on, and its end will tell.
   */
  lose(): void {
    if (this.#endsWhenLost) this.#endFor("lost");
    else this.#cut ??= "lost";
  }

  /** Ends the command if it still runs, as when the lock is lost, and waits until it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
    await this.ended;
  }

  get #endsWhenLost(): boolean {
    return this.#order.onLost !== "warn";
  }

  /** Whether a command that is there would have to end, or has lost its lock. */
  get #isTooLate(): boolean {
    return this.#endsWhenLost ? this.#watch.isDue : msUntil(this.#deadline) <= 0;
  }

  #endFor(cut: Cut): void {
    this.#cut ??= cut;
    this.#end();
  }

  #end(): void {
    this.#isAsked = true;
    this.#watch.endNow();
    this.#guardian.sayAsked();
  }

  #guardianAsked(): void {
    // Unless it was told to, it does so only when it is time.
    if (!this.#isAsked) this.#cut ??= "lost";
    this.#watch.hasBeenTerminated();
  }

  async #finish(own: OwnEnd): Promise<ChildEnd> {
    // The guardian's word may not have come yet, when this process was stopped or stuck.
    if (this.#isTooLate && !this.#isAsked) this.#cut ??= "lost";
    let left = this.#processes.count();
    const isLeftBehind = left !== 0 && this.#watch.phase === "watching";
    const isToTell = isLeftBehind && this.#cut === undefined;
    if (isLeftBehind) this.#end();
    let most = left ?? 0;
    for (let looks = 0; left !== 0 && looks < GIVE_UP_AFTER;) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      const isKilling = this.#watch.phase === "killing";
      left = isKilling ? this.#processes.kill() : this.#processes.count();
      most = Math.max(most, left ?? 0);
      if (isKilling) looks++;
    }
    const undying = left ?? 1; // What cannot be looked at is not gone.
    this.#watch.stop();
    if (isToTell && most > 0) {
      const { foreign } = this.#processes;
      this.#order.leftBehind?.(Math.max(0, most - foreign - undying), foreign);
    }
    if (msUntil(this.#deadline) <= 0) this.#cut ??= "lost";
    return { ...own, cut: this.#cut, undying };
  }
}

/** It runs, whether it can be looked at or not: then it is known by its marker and its session. */
function idOf(table: ProcessTable, pid: number): ProcessId {
  const unknown = { pid, startTicks: 0 };
  try {
    return table.stat(pid) ?? unknown;
  } catch {
    return unknown;
  }
}

function ownEnd(child: ChildProcess, command: string): Promise<OwnEnd> {
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => {
      resolve(
        signal === null ? { kind: "exited", code: code ?? 0 } : { kind: "signalled", signal },
      );
    });
    child.on("error", (error) => {
      // Also told of signals that could not be sent: those end nothing.
      if (child.pid === undefined) resolve(couldNotRun(command, error));
    });
  });
}

function couldNotRun(command: string, error: unknown): OwnEnd {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOENT" || command === "") {
    return { kind: "not-found", message: `${command || "''"}: command not found` };
  }
  const reasons: Record<string, string> = {
    EACCES: "permission denied, or not a program",
    ENOEXEC: "not a program for this machine",
    E2BIG: "the arguments and the environment are too long",
    EAGAIN: "this user may not start more processes",
  };
  return {
    kind: "not-executable",
    message: `${command}: ${reasons[code ?? ""] ?? message}`,
  };
}
