import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { build } from "rolldown";
import { hostNow } from "../../cmd/stormlock/hold/host-time.js";
import { isAlive, ProcessTable } from "../../cmd/stormlock/hold/process-table.js";
import { MARKER_VARIABLE } from "../../cmd/stormlock/hold/process-tree.js";
import type { DriverOptions } from "./hold-driver.js";

const table = new ProcessTable();

/** A line of the driver's log. */
export interface Note {
  readonly what: string;
  readonly atMs: number;
  readonly marker?: string;
  readonly pid?: number;
  readonly guardianPid?: number;
  readonly deadlineMs?: number;
  readonly count?: number;
  readonly cut?: string;
}

/** Wrappers to be mistreated, built from the sources as they are. */
export class HoldBench implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "stormlock-hold-"));
  readonly #runs: HoldRun[] = [];

  static async open(): Promise<HoldBench> {
    const bench = new HoldBench();
    for (const [name, file, format] of [
      ["driver.js", "test/support/hold-driver.ts", "esm"],
      ["guardian.cjs", "cmd/stormlock/guardian.ts", "cjs"],
    ] as const) {
      await build({
        input: file,
        platform: "node",
        transform: { target: "node20.19" },
        output: { file: join(bench.folder, name), format },
        logLevel: "warn",
      });
    }
    return bench;
  }

  /** The words of a shell's command line that run the wrapper. */
  words(run: string, options: Partial<DriverOptions>, command: readonly string[]): string[] {
    const all: DriverOptions = {
      ttlMs: 2000,
      graceMs: 500,
      log: join(this.folder, `${run}.log`),
      ...options,
    };
    const driver = join(this.folder, "driver.js");
    return [process.execPath, driver, JSON.stringify(all), "--", ...command];
  }

  start(
    name: string,
    options: Partial<DriverOptions>,
    command: readonly string[],
    stdio: StdioOptions = ["ignore", "pipe", "pipe"],
  ): HoldRun {
    const [program = "", ...args] = this.words(name, options, command);
    const wrapper = spawn(program, args, {
      stdio,
      env: { ...process.env, OUT: this.path(name) },
      // Without the test runner's terminal, wherever the tests are run.
      detached: true,
    });
    const run = new HoldRun(this, name, wrapper);
    this.#runs.push(run);
    return run;
  }

  /** Where a command may write to: $OUT. */
  path(name: string): string {
    return resolve(this.folder, `${name}.out`);
  }

  /** The driver's log so far. */
  notes(name: string): Note[] {
    return lines(join(this.folder, `${name}.log`)).map((line) => JSON.parse(line) as Note);
  }

  /** What the command wrote to $OUT so far, in lines. */
  output(name: string): string[] {
    return lines(this.path(name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Also those that were started by others: the log tells of every wrapper.
    for (const file of readdirSync(this.folder)) {
      if (file.endsWith(".log")) clearAway(this.notes(file.slice(0, -".log".length)));
    }
    for (const run of this.#runs) run.wrapper.kill("SIGKILL");
    await Promise.all(this.#runs.map((run) => run.exit));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One wrapper and what becomes of it. */
export class HoldRun {
  readonly #bench: HoldBench;
  readonly name: string;
  readonly wrapper: ChildProcess;
  /** Resolves with its exit code or the signal that ended it. */
  readonly exit: Promise<number | NodeJS.Signals>;
  stdout = "";
  stderr = "";

  constructor(bench: HoldBench, name: string, wrapper: ChildProcess) {
    this.#bench = bench;
    this.name = name;
    this.wrapper = wrapper;
    this.exit = new Promise((resolve) => {
      wrapper.once("close", (code, signal) => {
        resolve(code ?? signal ?? 0);
      });
    });
    wrapper.stdout?.on("data", (piece: Buffer) => (this.stdout += String(piece)));
    wrapper.stderr?.on("data", (piece: Buffer) => (this.stderr += String(piece)));
  }

  get pid(): number {
    return this.wrapper.pid ?? 0;
  }

  get notes(): Note[] {
    return this.#bench.notes(this.name);
  }

  get output(): string[] {
    return this.#bench.output(this.name);
  }

  /** The first note of this kind, as soon as it is there. */
  async note(what: string): Promise<Note> {
    return await until(`the wrapper notes "${what}"`, () =>
      this.notes.find((note) => note.what === what),
    );
  }

  get lastDeadlineMs(): number {
    const deadlineMs = this.notes.findLast((note) => note.deadlineMs !== undefined)?.deadlineMs;
    if (deadlineMs === undefined) throw new Error(`${this.name} has no deadline yet`);
    return deadlineMs;
  }

  /** The living processes that carry this hold's marker. */
  marked(): number[] {
    return marked(this.notes);
  }
}

function marked(notes: readonly Note[]): number[] {
  const marker = notes.find((note) => note.what === "begun")?.marker;
  if (marker === undefined) return [];
  return table.pids().filter((pid) => {
    const stat = table.stat(pid);
    return stat !== undefined && isAlive(stat) && carries(pid, marker);
  });
}

function carries(pid: number, marker: string): boolean {
  try {
    return table.variable(pid, MARKER_VARIABLE)?.split(":").includes(marker) ?? false;
  } catch {
    return false; // In the midst of exec, as somebody always is on a busy machine.
  }
}

/** Kills what a test has left behind: the command, its wrapper, its guardians. */
function clearAway(notes: readonly Note[]): void {
  const guardians = notes.flatMap(({ guardianPid }) => guardianPid ?? []);
  const wrappers = notes.flatMap(({ pid }) => pid ?? []);
  const left = [
    ...wrappers.filter((pid) => runsProgram(pid, "driver.js")),
    ...guardians.filter((pid) => isGuardian(pid)),
    ...marked(notes),
  ];
  for (const pid of new Set(left)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended in the meantime.
    }
  }
}

export function isGuardian(pid: number): boolean {
  return runsProgram(pid, "guardian.cjs");
}

function runsProgram(pid: number, program: string): boolean {
  const stat = table.stat(pid);
  if (stat === undefined || !isAlive(stat)) return false;
  try {
    return readFileSync(`/proc/${String(pid)}/cmdline`, "utf8").includes(program);
  } catch {
    return false;
  }
}

/** Watches a process from outside until it is dead, by the clock of the deadlines. */
export async function deathOf(pid: number, withinMs = 15_000): Promise<number> {
  const startTicks = table.stat(pid)?.startTicks;
  const begunMs = hostNow().hrMs;
  for (;;) {
    const stat = table.stat(pid);
    const nowMs = hostNow().hrMs;
    if (stat === undefined || stat.startTicks !== startTicks || !isAlive(stat)) return nowMs;
    if (nowMs - begunMs > withinMs) throw new Error(`process ${String(pid)} does not die`);
    await pause(3);
  }
}

/** Waits until something is there. */
export async function until<T>(what: string, find: () => T | undefined | false): Promise<T> {
  const begunMs = hostNow().hrMs;
  for (;;) {
    const found = find();
    if (found !== undefined && found !== false) return found;
    if (hostNow().hrMs - begunMs > 15_000) throw new Error(`waited 15 s in vain until ${what}`);
    await pause(10);
  }
}

export async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

function lines(file: string): string[] {
  if (!existsSync(file)) return [];
  // Without the last piece: it may be half a line.
  return readFileSync(file, "utf8").split("\n").slice(0, -1);
}
