// The built program, run as its users run it: in a home of its own, with nothing of the
// environment of whoever runs the tests.

import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

export const PROGRAM = resolve("dist/stormlock.cjs");

// Longer than any command here may take.
const MOST_MS = 60_000;

export interface Ended {
  /** The exit code; 128+n when a signal ended it, as a shell would say. */
  readonly code: number;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Another program than this one, e.g. bash. */
  readonly program?: readonly string[];
  /** After so long it is killed; a minute when left out. */
  readonly mostMs?: number;
}

/** A home folder, and commands that are run in it. */
export class CliHome implements AsyncDisposable {
  readonly path: string;
  readonly #running = new Set<Running>();

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<CliHome> {
    return new CliHome(await mkdtemp(join(tmpdir(), "stormlock-cli-")));
  }

  get env(): Record<string, string> {
    return {
      PATH: `${join(this.path, "bin")}:${dirname(process.execPath)}:${process.env["PATH"] ?? ""}`,
      HOME: this.path,
      XDG_STATE_HOME: join(this.path, "state"),
      XDG_CONFIG_HOME: join(this.path, "config"),
      TMPDIR: tmpdir(),
      LANG: "C.UTF-8",
    };
  }

  /** Writes a file into the home, and answers with its path. */
  async file(name: string, text: string): Promise<string> {
    const path = join(this.path, name);
    await writeFile(path, text);
    return path;
  }

  /** Starts the program. */
  start(argv: readonly string[], options: RunOptions = {}): Running {
    const [command = process.execPath, ...before] = options.program ?? [process.execPath, PROGRAM];
    const child = spawn(command, [...before, ...argv], {
      cwd: this.path,
      env: { ...this.env, ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    const running = new Running(child, options.input ?? "", options.mostMs ?? MOST_MS);
    this.#running.add(running);
    void running.ended.then(() => this.#running.delete(running));
    return running;
  }

  /** Runs the program to its end. */
  run(argv: readonly string[], options: RunOptions = {}): Promise<Ended> {
    return this.start(argv, options).ended;
  }

  /** Runs a line in bash. */
  bash(line: string, options: RunOptions = {}): Promise<Ended> {
    return this.run(["-c", line], { ...options, program: ["bash"] });
  }

  /** Starts a daemon on a port of its own and waits until it listens. */
  async daemon(argv: readonly string[] = [], options: RunOptions = {}): Promise<DaemonProcess> {
    const listen = argv.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
    const running = this.start(["serve", ...listen, ...argv], options);
    const [, where = ""] = await running.stderrMatches(/listening on ([^"]+)/u);
    return { running, address: where.split(", ")[0] ?? "" };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const running of this.#running) running.kill("SIGKILL");
    await Promise.all([...this.#running].map(({ ended }) => ended));
    await rm(this.path, { recursive: true, force: true });
  }
}

export interface DaemonProcess {
  readonly running: Running;
  /** The first address that it listens on. */
  readonly address: string;
}

/** A command under way. */
export class Running {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  #stdout = "";
  #stderr = "";

  constructor(child: ChildProcess, input: string, mostMs: number) {
    this.#child = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.#stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#stderr += text));
    child.stdin?.on("error", () => undefined).end(input);
    const overdue = setTimeout(() => child.kill("SIGKILL"), mostMs);
    this.ended = new Promise((done, failed) => {
      child.on("error", failed);
      child.on("close", (code, signal) => {
        clearTimeout(overdue);
        const bySignal = signal === null ? 0 : 128 + constants.signals[signal];
        done({ code: code ?? bySignal, signal, stdout: this.#stdout, stderr: this.#stderr });
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get stderr(): string {
    return this.#stderr;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits until stderr has what is looked for. */
  async stderrMatches(pattern: RegExp): Promise<RegExpExecArray> {
    for (let waitedMs = 0; waitedMs < MOST_MS; waitedMs += 20) {
      const match = pattern.exec(this.#stderr);
      if (match !== null) return match;
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) break;
      await new Promise((wake) => setTimeout(wake, 20));
    }
    throw new Error(`stderr has no ${String(pattern)}: ${this.#stderr}`);
  }
}
