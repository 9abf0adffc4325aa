import { DeadlineWatch } from "./deadline-watch.js";
import { LineReader, toLine, type FromGuardian, type ToGuardian } from "./guardian-messages.js";
import { hostNow, hostTime, later, msUntil, type HostMoment } from "./host-time.js";
import { removeOwnFiles, type OwnFile } from "./own-files.js";
import { ProcessGroup } from "./process-group.js";
import { ProcessTable, type ProcessId } from "./process-table.js";
import { ProcessTree, type Processes } from "./process-tree.js";

export interface GuardianOptions {
  readonly wrapperPid: number;
  readonly send: (line: string) => void;
  readonly exit: () => void;
}

type GuardOrder = Extract<ToGuardian, { say: "guard" }>;
type FilesOrder = Extract<ToGuardian, { say: "guard-files" }>;

// A wrapper that died while it started its command: the command may come to light only now.
const LINGER_MS = 2000;
// After that long there is nothing that a signal could do: a process waits for a dead disk.
const GIVE_UP_MS = 60_000;

// How long the first look may take; the later ones as long as the longest before them.
const FIRST_LOOK_MS = 50;

const PAUSE_KILLING_MS = 2;
const PAUSE_ASKED_MS = 25;
const PAUSE_LATE_START_MS = 1;
const LATE_START_LOOKS = 250;
const PAUSE_IDLE_MS = 250;

/**
 * Ends a wrapper's command in time. In a session of its own, and fed with absolute deadlines, it
 * needs nothing from the wrapper to do so: that may be stopped, stuck, or dead.
 *   G1. At the deadline minus the grace everything is asked to end, at the deadline killed
 *       (DeadlineWatch), again and again until nothing is left (Processes).
 *   G2. The wrapper's death is the end of the link: everything is asked at once, and killed
 *       after the grace or at the deadline, whichever comes first.
 *   G3. It knows the marker before the command starts, so there is no command that it could not
 *       find. One that starts when the deadline has passed (the wrapper was stopped just then)
 *       is killed as soon as it appears.
 *   G4. Files that say that a lock is held are removed before the deadline, and when the wrapper
 *       dies. It knows them before they get their names.
 *   G5. It leaves when the wrapper says so, or is dead and nothing is left.
 *   G6. Nothing keeps it from killing in time: it does not begin to look whether something is left
 *       when that may not be over by the deadline. On a crowded host a look takes long.
 */
export class Guardian {
  readonly #options: GuardianOptions;
  readonly #lines = new LineReader<ToGuardian>();
  readonly #table = new ProcessTable();
  readonly #spared: readonly ProcessId[];
  #processes: Processes | undefined;
  #files: readonly OwnFile[] = [];
  #watch: DeadlineWatch | undefined;
  #childIsKnown = false;
  #wrapperIsGone = false;
  #patrols = false;
  #longestLookMs = FIRST_LOOK_MS;

  constructor(options: GuardianOptions) {
    this.#options = options;
    // While the wrapper is sure to live: its number may be a stranger's when it is needed.
    this.#spared = [process.pid, options.wrapperPid].flatMap((pid) => this.#table.stat(pid) ?? []);
  }

  /** Takes what came over the link. */
  read(piece: string): void {
    for (const message of this.#lines.read(piece)) this.#take(message);
  }

  /** The link has ended. */
  wrapperDied(): void {
    if (this.#wrapperIsGone) return;
    this.#wrapperIsGone = true;
    removeOwnFiles(this.#files); // G4
    if (this.#watch === undefined || this.#processes === undefined) {
      this.#options.exit();
      return;
    }
    this.#watch.endNow(); // G2
    void this.#patrol();
  }

  #take(message: ToGuardian): void {
    switch (message.say) {
      case "guard":
        this.#guard(message);
        this.#send({ say: "guarding" });
        return;
      case "guard-files":
        this.#guardFiles(message);
        this.#send({ say: "guarding" });
        return;
      case "child":
        this.#childIsKnown = true;
        this.#processes?.setRoot(message);
        return;
      case "deadline":
        this.#watch?.extend(message.deadline);
        this.#send({ say: "seen", count: message.count });
        return;
      case "asked":
        this.#watch?.hasBeenTerminated();
        return;
      case "done":
        this.#options.exit();
    }
  }

  #guardFiles({ files, leadMs, deadline }: FilesOrder): void {
    this.#watch?.stop(); // That of the lock that was held before.
    this.#files = files;
    const remove = (): void => {
      removeOwnFiles(files);
      this.#send({ say: "terminating" });
    };
    const ending = { terminate: remove, kill: remove };
    this.#watch = new DeadlineWatch({ time: hostTime, graceMs: leadMs, deadline, ...ending });
  }

  #guard(order: GuardOrder): void {
    const { marker, leadsSession, graceMs, deadline, endsAtDeadline } = order;
    const processes = this.#table.exists
      ? new ProcessTree({ table: this.#table, marker, leadsSession, spared: this.#spared })
      : new ProcessGroup(leadsSession);
    this.#processes = processes;
    this.#watch = new DeadlineWatch({
      time: hostTime,
      ...{ graceMs, deadline, endsAtDeadline },
      // Said first: the wrapper must know why its command dies before it sees it dead. By then a
      // late renewal may have moved the deadline, which tells nothing any more.
      terminate: () => {
        this.#send({ say: "terminating" });
        processes.terminate();
        void this.#patrol();
      },
      kill: () => {
        this.#send({ say: "terminating" });
        processes.kill();
        void this.#patrol();
      },
    });
  }

  /** Looks again and again, from when the end has begun until it is reached (G1, G5). */
  async #patrol(): Promise<void> {
    if (this.#patrols) return;
    this.#patrols = true;
    const begun = hostNow();
    for (;;) {
      const left = this.#look();
      if (this.#wrapperIsGone && left === 0 && this.#nothingCanCome(begun)) break;
      const givesUp = later(begun, GIVE_UP_MS);
      if (this.#wrapperIsGone && this.#watch?.phase === "killing" && msUntil(givesUp) < 0) break;
      await this.#pause(left);
    }
    this.#options.exit();
  }

  /** @returns how many are left; nothing when that could not be found out */
  #look(): number | undefined {
    if (this.#processes === undefined) return 0;
    if (this.#watch?.phase === "killing") return this.#processes.kill();
    const { leftMs = Infinity } = this.#watch ?? {};
    if (!this.#wrapperIsGone || leftMs < 2 * this.#longestLookMs) return undefined; // G6
    const begun = hostNow();
    const left = this.#processes.count();
    this.#longestLookMs = Math.max(this.#longestLookMs, -msUntil(begun));
    return left;
  }

  #nothingCanCome(begun: HostMoment): boolean {
    return this.#childIsKnown || msUntil(later(begun, LINGER_MS)) < 0;
  }

  async #pause(left: number | undefined): Promise<void> {
    if (this.#watch?.phase !== "killing") {
      await pause(this.#wrapperIsGone ? PAUSE_ASKED_MS : PAUSE_IDLE_MS);
    } else if (left !== 0) {
      await pause(PAUSE_KILLING_MS);
    } else if (this.#childIsKnown || this.#wrapperIsGone) {
      await pause(this.#wrapperIsGone ? PAUSE_ASKED_MS : PAUSE_IDLE_MS);
    } else {
      await this.#awaitLateStart();
    }
  }

  // G3: reading the whole table takes too long for this. A child of the wrapper is looked at
  // alone; without the marker it is none of ours, whoever's it is.
  async #awaitLateStart(): Promise<void> {
    for (let looks = 0; looks < LATE_START_LOOKS; looks++) {
      const children = this.#childrenOfWrapper();
      if (children === undefined) break;
      for (const pid of children) this.#processes?.killIfMember(pid);
      await pause(PAUSE_LATE_START_MS);
    }
    await pause(PAUSE_ASKED_MS);
  }

  /** Nothing where this kernel does not tell, or when it cannot be read. */
  #childrenOfWrapper(): number[] | undefined {
    try {
      return this.#table.childrenOf(this.#options.wrapperPid);
    } catch {
      return undefined;
    }
  }

  #send(message: FromGuardian): void {
    if (!this.#wrapperIsGone) this.#options.send(toLine(message));
  }
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
