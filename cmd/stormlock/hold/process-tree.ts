import { noneBegan } from "./newcomers.js";
import { ProcessSet } from "./process-set.js";
import { ProcessSight } from "./process-sight.js";
import { isAlive, type ProcessId, type ProcessStat, type ProcessTable } from "./process-table.js";

/** The variable by which a process is known to run under a hold, however far it has strayed. */
export const MARKER_VARIABLE = "STORMLOCK_HOLD";
/** Parts the markers of holds inside holds. */
export const MARKER_SEPARATOR = ":";

/** The processes of one hold, as those who end them see them. */
export interface Processes {
  /** The command itself, as soon as it runs. */
  setRoot(root: ProcessId): void;
  /**
   * How many live; those that we may not signal do not count. 0 means that nothing is left, and
   * nothing that this could not be found out: look again.
   */
  count(): number | undefined;
  /** How many we were not allowed to signal: another user's. */
  readonly foreign: number;
  /** Asks every one of them to end. */
  terminate(): void;
  /** Kills every one that a look finds. @returns how many it found, as `count`; look again until 0 */
  kill(): number | undefined;
  /** Kills this one if it belongs to them. */
  killIfMember(pid: number): void;
}

export interface ProcessTreeOptions {
  readonly table: ProcessTable;
  /** The value in MARKER_VARIABLE, alone or among others. */
  readonly marker: string;
  /** Whether the command leads a session of its own. */
  readonly leadsSession: boolean;
  /** Never signalled: the wrapper and its guardian. */
  readonly spared: readonly ProcessId[];
}

/**
 * Everything that a command has started: whatever carries the marker in its environment, is in
 * the session that the command leads, was seen as one of these before, or descends from one.
 *   P1. A look that finds nobody proves nothing: somebody may have started another process when
 *       the table had been listed, and ended before it was his turn. Nothing is left when two
 *       looks in a row find nobody, and nor does one at all that began since the first.
 *   P2. What could not be looked at is not gone. Nobody knows then whether something is left.
 *   P3. A number alone is nobody: it may be a stranger's by now. Whoever was found some time ago
 *       is looked at again before he gets a signal.
 */
export class ProcessTree implements Processes {
  readonly #marker: string;
  readonly #leadsSession: boolean;
  readonly #sight: ProcessSight;
  readonly #spared: ProcessSet;
  /** What was seen once stays a member, though its parent be gone. */
  readonly #known = new ProcessSet();
  readonly #forbidden = new ProcessSet();
  #session: ProcessId | undefined;
  /** The last number before two looks that found nobody, but for some between two programs. */
  #nobodySince: number | undefined;

  constructor({ table, marker, leadsSession, spared }: ProcessTreeOptions) {
    this.#marker = marker;
    this.#leadsSession = leadsSession;
    this.#sight = new ProcessSight(table);
    this.#spared = new ProcessSet(spared);
  }

  setRoot(root: ProcessId): void {
    this.#known.add(root);
    if (this.#leadsSession) this.#session = root;
  }

  count(): number | undefined {
    return this.#left(() => undefined);
  }

  get foreign(): number {
    return this.#forbidden.size;
  }

  terminate(): void {
    // All are found before the first is asked, and parents come first: a shell whose command
    // dies before it has its own signal goes on with the next line.
    for (const member of this.#find(() => undefined)) {
      if (this.#sight.isGone(member)) continue; // P3
      this.#signal(member, "SIGTERM");
      // A stopped process takes the signal when it goes on.
      if (member.state === "T") this.#signal(member, "SIGCONT");
    }
  }

  kill(): number | undefined {
    // To look through all processes takes some ms for each hundred, and a deadline has none to
    // give away.
    this.#killGroup();
    this.#killKnown();
    // Each dies as soon as it is found: some live only long enough to start the next.
    return this.#left((member) => {
      this.#signal(member, "SIGKILL");
    });
  }

  killIfMember(pid: number): void {
    const stat = this.#memberAt(pid);
    if (stat !== undefined) this.#signal(stat, "SIGKILL");
  }

  /** What `count` promises, when `found` has heard of each. */
  #left(found: (member: ProcessStat) => void): number | undefined {
    this.#sight.clear();
    const since = this.#nobodySince ?? this.#sight.lastPid();
    if (this.#nobodySince === undefined) {
      this.#sight.between.clear();
      for (let look = 0; look < 2; look++) {
        const members = this.#find(found);
        const left = members.filter((member) => !this.#forbidden.has(member)).length;
        if (left > 0) return left;
        if (!this.#sight.isClear) return undefined; // P2
      }
    }
    this.#nobodySince = undefined;
    const isOurs = (pid: number): boolean => {
      const member = this.#memberAt(pid);
      if (member === undefined || this.#forbidden.has(member)) return false;
      this.#known.add(member);
      found(member);
      return true;
    };
    for (const one of [...this.#sight.between]) {
      this.#sight.between.delete(one); // Unless it still is.
      if (isOurs(one.pid)) return undefined;
    }
    const isNone = noneBegan(since, () => this.#sight.lastPid(), isOurs); // P1
    if (!isNone || !this.#sight.isClear) return undefined;
    if (this.#sight.between.size === 0) return 0;
    // Only these are to be waited for, not for a moment when nobody starts a program.
    this.#nobodySince = since;
    return undefined;
  }

  // It reaches what its members are starting at that moment, too.
  #killGroup(): void {
    const session = this.#session;
    if (session !== undefined && this.#isGroupOurs(session)) this.#send(-session.pid, "SIGKILL");
  }

  // Nobody else gets its number while somebody is in it.
  #isGroupOurs(session: ProcessId): boolean {
    if (!this.#sight.isGone(session)) return true;
    for (const { pid } of this.#known) {
      const stat = this.#sight.stat(pid);
      if (stat?.group === session.pid && this.#known.has(stat)) return true;
    }
    return false;
  }

  #killKnown(): void {
    for (const one of this.#known) {
      if (this.#sight.isGone(one)) this.#known.delete(one);
      else this.#signal(one, "SIGKILL");
    }
  }

  /** Every living member, parents before their children; `found` hears of each at once. */
  #find(found: (member: ProcessStat) => void): ProcessStat[] {
    const others: ProcessStat[] = [];
    const members: ProcessStat[] = [];
    const take = (stat: ProcessStat): void => {
      this.#known.add(stat);
      if (this.#forbidden.has(stat)) return;
      members.push(stat);
      found(stat);
    };
    for (const pid of this.#sight.pids()) {
      const stat = this.#sight.stat(pid);
      if (stat === undefined || !isAlive(stat) || this.#spared.has(stat)) continue;
      if (this.#isMember(stat)) take(stat);
      else others.push(stat);
    }
    this.#endSession(members);
    takeDescendants(members, others, (stat) => {
      if (!this.#sight.isGone(stat)) take(stat); // P3
    });
    return parentsFirst(members);
  }

  #memberAt(pid: number): ProcessStat | undefined {
    const stat = this.#sight.stat(pid);
    if (stat === undefined || !isAlive(stat) || this.#spared.has(stat)) return undefined;
    return this.#isMember(stat) ? stat : undefined;
  }

  #isMember(stat: ProcessStat): boolean {
    if (this.#known.has(stat)) return true;
    if (this.#session !== undefined && isInSession(stat, this.#session)) return true;
    if (!stat.hasMemory && stat.threads === 1) return false;
    const markers = this.#sight.variable(stat, MARKER_VARIABLE)?.split(MARKER_SEPARATOR);
    return markers?.includes(this.#marker) === true;
  }

  // A session's number is not used again while somebody is in it. Once nobody is, a stranger
  // may get it: from then on it tells nothing.
  #endSession(members: readonly ProcessStat[]): void {
    const session = this.#session;
    if (session === undefined || !this.#sight.isClear) return;
    if (members.some((member) => member.session === session.pid)) return;
    const stat = this.#sight.stat(session.pid);
    // Nobody found is not nobody there (P1); of a group the kernel knows it at once.
    const isEmpty = stat === undefined && this.#send(-session.pid, 0) === "gone";
    if (isEmpty || (stat !== undefined && stat.startTicks !== session.startTicks)) {
      this.#session = undefined;
    }
  }

  #signal(member: ProcessId, signal: NodeJS.Signals): void {
    if (this.#send(member.pid, signal) === "forbidden") this.#forbidden.add(member);
  }

  #send(pid: number, signal: NodeJS.Signals | 0): "sent" | "gone" | "forbidden" {
    try {
      process.kill(pid, signal);
      return "sent";
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "EPERM" ? "forbidden" : "gone";
    }
  }
}

function isInSession(stat: ProcessStat, leader: ProcessId): boolean {
  if (stat.session !== leader.pid || stat.startTicks < leader.startTicks) return false;
  // A leader that began at another time is a stranger.
  return stat.pid !== leader.pid;
}

/** Takes those of `others` that descend from `members`. */
function takeDescendants(
  members: readonly ProcessStat[],
  others: readonly ProcessStat[],
  take: (stat: ProcessStat) => void,
): void {
  const children = byParent(others);
  const parents = members.map((member) => member.pid);
  for (const parent of parents) {
    for (const child of children.get(parent) ?? []) {
      take(child);
      parents.push(child.pid); // The loop goes on to it.
    }
  }
}

function parentsFirst(members: readonly ProcessStat[]): ProcessStat[] {
  const pids = new Set(members.map((member) => member.pid));
  const children = byParent(members);
  const sorted = members.filter((member) => !pids.has(member.parentPid));
  for (const parent of sorted) sorted.push(...(children.get(parent.pid) ?? []));
  return sorted;
}

function byParent(stats: readonly ProcessStat[]): Map<number, ProcessStat[]> {
  const children = new Map<number, ProcessStat[]>();
  for (const stat of stats) {
    const siblings = children.get(stat.parentPid);
    if (siblings === undefined) children.set(stat.parentPid, [stat]);
    else siblings.push(stat);
  }
  return children;
}
