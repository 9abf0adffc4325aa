import { closeSync, openSync, readdirSync, readSync } from "node:fs";

/** A process that no later one is mistaken for: process ids are used again. */
export interface ProcessId {
  readonly pid: number;
  /** When it began, in clock ticks since the host's start. */
  readonly startTicks: number;
}

/** What /proc/PID/stat tells. */
export interface ProcessStat extends ProcessId {
  readonly state: string;
  readonly parentPid: number;
  readonly group: number;
  readonly session: number;
  readonly terminal: number;
  readonly threads: number;
  /** The kernel's own have none, nor has a main thread that has ended. */
  readonly hasMemory: boolean;
  /** Whether it is in the midst of exec, when it has no environment that could be read. */
  readonly isBetweenPrograms: boolean;
}

/** A zombie is dead, unless it is the first of several threads and the others go on. */
export function isAlive(stat: ProcessStat): boolean {
  return stat.state !== "X" && (stat.state !== "Z" || stat.threads > 1);
}

/** @returns nothing when the text is not the content of /proc/PID/stat */
export function parseStat(text: string): ProcessStat | undefined {
  // The name stands in parentheses and may hold spaces and parentheses itself.
  const nameEnds = text.lastIndexOf(")");
  const fields = text.slice(nameEnds + 2).split(" ");
  const pid = Number.parseInt(text, 10);
  const [state, parent, group, session, terminal] = fields;
  const [threads, startTicks] = [Number(fields[17]), Number(fields[19])];
  if (nameEnds < 0 || state === undefined || !Number.isFinite(startTicks)) return undefined;
  const hasMemory = Number(fields[20]) > 0;
  return {
    pid,
    state,
    parentPid: Number(parent),
    group: Number(group),
    session: Number(session),
    terminal: Number(terminal),
    threads,
    startTicks,
    hasMemory,
    isBetweenPrograms: hasMemory && Number(fields[48]) === 0, // Where its environment ends.
  };
}

/** In the midst of exec a process has no environment. It takes some µs, or until a disk answers. */
export class BetweenPrograms extends Error {}

// No such process, or none that this user may look into. Any other error tells nothing about the
// process: a host or a user out of file descriptors, say.
const NOT_THERE: ReadonlySet<unknown> = new Set(["ENOENT", "ESRCH", "EACCES", "EPERM"]);

/**
 * The processes of this host, read from /proc without waiting and without garbage. What cannot
 * be read now, though it may be there, is an error: whoever took it for gone would give a lock
 * away over it.
 */
export class ProcessTable {
  readonly #folder: string;
  #buffer = Buffer.allocUnsafe(16 * 1024);

  constructor(folder = "/proc") {
    this.#folder = folder;
  }

  /** Whether this host has such a table. */
  get exists(): boolean {
    return this.stat(process.pid) !== undefined;
  }

  pids(): number[] {
    return readdirSync(this.#folder).map(Number).filter(Number.isInteger);
  }

  /**
   * The number that was given away last, to a process or a thread. They are given in their order,
   * and begin anew when the highest one is reached. Nothing where /proc does not tell.
   */
  lastPid(): number | undefined {
    // The second one is made up in some containers (lxcfs), the first one is missing in some kernels.
    const text = this.#read("sys/kernel/ns_last_pid") ?? this.#read("loadavg");
    const last = Number(text?.toString("latin1").trim().split(" ").at(-1));
    return Number.isInteger(last) ? last : undefined;
  }

  /** @returns nothing when there is no such process (any more) */
  stat(pid: number): ProcessStat | undefined {
    const text = this.#read(`${String(pid)}/stat`);
    return text === undefined ? undefined : parseStat(text.toString("latin1"));
  }

  /** The processes that the main thread of `pid` has started; nothing where /proc does not tell. */
  childrenOf(pid: number): number[] | undefined {
    const text = this.#read(`${String(pid)}/task/${String(pid)}/children`);
    return text?.toString("latin1").split(" ").filter(Boolean).map(Number);
  }

  /**
   * The value of a variable in the environment that the process was started with.
   * @throws BetweenPrograms
   */
  variable(pid: number, name: string): string | undefined {
    const environ = this.#environ(pid);
    if (environ === undefined) return undefined;
    const entry = `${name}=`;
    let at = environ.indexOf(entry, 0, "latin1");
    while (at > 0 && environ[at - 1] !== 0) at = environ.indexOf(entry, at + 1, "latin1");
    if (at < 0) return undefined;
    const end = environ.indexOf(0, at);
    return environ.toString("latin1", at + entry.length, end < 0 ? environ.length : end);
  }

  #environ(pid: number): Buffer | undefined {
    const path = `${String(pid)}/environ`;
    const environ = this.#read(path);
    if (environ?.length !== 0) return environ;
    const stat = this.stat(pid);
    if (stat?.hasMemory === false) return this.#environOfThread(pid);
    if (stat?.isBetweenPrograms === true && this.#tellsOfPrograms) {
      throw new BetweenPrograms(`process ${String(pid)} is between two programs`);
    }
    return this.#read(path); // It has one by now, or never had any.
  }

  // Where the main thread has ended and others go on, these alone have it.
  #environOfThread(pid: number): Buffer | undefined {
    for (const thread of this.#names(`${String(pid)}/task`)) {
      const environ = this.#read(`${String(pid)}/task/${thread}/environ`);
      if (environ !== undefined && environ.length > 0) return environ;
    }
    return undefined;
  }

  // This process runs its program: a kernel that says otherwise says it of everybody.
  get #tellsOfPrograms(): boolean {
    return this.stat(process.pid)?.isBetweenPrograms !== true;
  }

  #names(folder: string): string[] {
    return unlessNotThere(() => readdirSync(`${this.#folder}/${folder}`)) ?? [];
  }

  /** The file's content, good until the next read. */
  #read(path: string): Buffer | undefined {
    return unlessNotThere(() => this.#contentOf(`${this.#folder}/${path}`));
  }

  #contentOf(path: string): Buffer {
    const file = openSync(path, "r");
    try {
      let length = 0;
      for (;;) {
        const read = readSync(file, this.#buffer, length, this.#buffer.length - length, null);
        length += read;
        if (read === 0) return this.#buffer.subarray(0, length);
        if (length === this.#buffer.length) {
          this.#buffer = Buffer.concat([this.#buffer, Buffer.allocUnsafe(length)]);
        }
      }
    } finally {
      closeSync(file);
    }
  }
}

function unlessNotThere<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (NOT_THERE.has((error as NodeJS.ErrnoException).code)) return undefined;
    throw error;
  }
}
