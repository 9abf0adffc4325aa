import { isAlive, type ProcessId, type ProcessStat, type ProcessTable } from "./process-table.js";

/** The variable by which a process is known to run under a hold, however far it has strayed. */
export const MARKER_VARIABLE = "STORMLOCK_HOLD";
/** Parts the markers of holds inside holds. */
export const MARKER_SEPARATOR = ":";

/** The processes of one hold, as those who end them see them. */
export interface Processes {
  /** The command itself, as soon as it runs. */
  setRoot(root: ProcessId): void;
  /** How many live; those that we may not signal do not count. */
  count(): number;
  /** How many we were not allowed to signal: another user's. */
  readonly foreign: number;
  /** Asks every one of them to end. @returns how many were asked */
  terminate(): number;
  /** Kills every one that one look finds. @returns how many it found; look again until none */
  kill(): number;
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
  readonly spared: readonly number[];
}

/**
 * Everything that a command has started: whatever carries the marker in its environment, is in
 * the session that the command leads, was seen as one of these before, or descends from one.
 */
export class ProcessTree implements Processes {
  readonly #options: ProcessTreeOptions;
  /** What was seen once stays a member, though its parent be gone: pid to its start. */
  readonly #known = new Map<number, number>();
  readonly #forbidden = new Set<number>();
  #session: ProcessId | undefined;

  constructor(options: ProcessTreeOptions) {
    this.#options = options;
  }

  setRoot(root: ProcessId): void {
    this.#known.set(root.pid, root.startTicks);
    if (this.#options.leadsSession) this.#session = root;
  }

  count(): number {
    return this.#find(() => undefined).length;
  }

  get foreign(): number {
    return this.#forbidden.size;
  }

  terminate(): number {
    // All are found before the first is asked, and parents come first: a shell whose command
    // dies before it has its own signal goes on with the next line.
    const members = this.#find(() => undefined);
    for (const member of members) {
      this.#signal(member, "SIGTERM");
      // A stopped process takes the signal when it goes on.
      if (member.state === "T") this.#signal(member, "SIGCONT");
    }
    return members.length;
  }

  kill(): number {
    this.#killKnown();
    // Each dies as soon as it is found: some live only long enough to start the next.
    const members = this.#find((member) => {
      this.#signal(member, "SIGKILL");
    });
    const session = this.#session;
    if (session !== undefined && members.some((member) => member.group === session.pid)) {
      this.#trySignal(-session.pid, "SIGKILL");
    }
    return members.filter((member) => !this.#forbidden.has(member.pid)).length;
  }

  killIfMember(pid: number): void {
    const stat = this.#options.spared.includes(pid) ? undefined : this.#options.table.stat(pid);
    if (stat !== undefined && isAlive(stat) && this.#isMember(stat)) this.#signal(stat, "SIGKILL");
  }

  // To look through all processes takes some ms, and a deadline has none to give away.
  #killKnown(): void {
    for (const [pid, startTicks] of this.#known) {
      const stat = this.#options.table.stat(pid);
      if (stat?.startTicks !== startTicks) this.#known.delete(pid);
      else if (isAlive(stat)) this.#signal(stat, "SIGKILL");
    }
  }

  /** Every living member, parents before their children; `found` hears of each at once. */
  #find(found: (member: ProcessStat) => void): ProcessStat[] {
    const { table, spared } = this.#options;
    const others: ProcessStat[] = [];
    const members: ProcessStat[] = [];
    const take = (stat: ProcessStat): void => {
      this.#known.set(stat.pid, stat.startTicks);
      if (this.#forbidden.has(stat.pid)) return;
      members.push(stat);
      found(stat);
    };
    // The newest first: they are the likeliest to be gone in a moment.
    const pids = table.pids().sort((one, other) => other - one);
    for (const pid of pids) {
      const stat = spared.includes(pid) ? undefined : table.stat(pid);
      if (stat === undefined || !isAlive(stat)) continue;
      if (this.#isMember(stat)) take(stat);
      else others.push(stat);
    }
    this.#endSession(members);
    takeDescendants(members, others, take);
    return parentsFirst(members);
  }

  #isMember(stat: ProcessStat): boolean {
    if (this.#known.get(stat.pid) === stat.startTicks) return true;
    if (this.#session !== undefined && isInSession(stat, this.#session)) return true;
    const { table, marker } = this.#options;
    const markers = table.variable(stat.pid, MARKER_VARIABLE)?.split(MARKER_SEPARATOR);
    return markers?.includes(marker) === true;
  }

  // A session's number is not used again while somebody is in it. Once nobody is, a stranger
  // may get it: from then on it tells nothing.
  #endSession(members: readonly ProcessStat[]): void {
    const session = this.#session;
    if (session === undefined) return;
    if (members.some((member) => member.session === session.pid)) return;
    if (this.#options.table.stat(session.pid)?.startTicks === session.startTicks) return;
    this.#session = undefined;
  }

  #signal(member: ProcessStat, signal: NodeJS.Signals): void {
    if (this.#trySignal(member.pid, signal) === "forbidden") this.#forbidden.add(member.pid);
  }

  #trySignal(pid: number, signal: NodeJS.Signals): "sent" | "gone" | "forbidden" {
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
