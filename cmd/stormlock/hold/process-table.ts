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
  return {
    pid,
    state,
    parentPid: Number(parent),
    group: Number(group),
    session: Number(session),
    terminal: Number(terminal),
    threads,
    startTicks,
  };
}

/** The processes of this host, read from /proc without waiting and without garbage. */
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
    const pids: number[] = [];
    for (const name of readdirSync(this.#folder)) {
      const pid = Number(name);
      if (Number.isInteger(pid)) pids.push(pid);
    }
    return pids;
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

  /** The value of a variable in the environment that the process was started with. */
  variable(pid: number, name: string): string | undefined {
    const environ = this.#read(`${String(pid)}/environ`);
    if (environ === undefined) return undefined;
    const entry = `${name}=`;
    let at = environ.indexOf(entry, 0, "latin1");
    while (at > 0 && environ[at - 1] !== 0) at = environ.indexOf(entry, at + 1, "latin1");
    if (at < 0) return undefined;
    const end = environ.indexOf(0, at);
    return environ.toString("latin1", at + entry.length, end < 0 ? environ.length : end);
  }

  /** The file's content, good until the next read. */
  #read(path: string): Buffer | undefined {
    let file: number;
    try {
      file = openSync(`${this.#folder}/${path}`, "r");
    } catch {
      return undefined;
    }
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
    } catch {
      return undefined; // It has ended in the meantime, or belongs to somebody else.
    } finally {
      closeSync(file);
    }
  }
}
