import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { hostMs } from "./host.js";

/** How a process ended: its exit code, or the name of the signal that ended it. */
export type Way = number | NodeJS.Signals;

export interface Ended {
  readonly way: Way;
  readonly atMs: number;
}

export interface ProgramOptions {
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Where what it says goes. Not a pipe: somebody might hold that open beyond its end. */
  readonly log: string;
}

/** A program in a session of its own. */
export class Program {
  readonly ended: Promise<Ended>;
  readonly #process: ChildProcess;
  readonly #log: string;
  #end: Ended | undefined;

  constructor({ argv, env = {}, cwd, log }: ProgramOptions) {
    const [command = "", ...args] = argv;
    this.#log = log;
    const file = openSync(log, "a");
    this.#process = spawn(command, args, {
      ...{ cwd, detached: true, stdio: ["ignore", file, file] },
      env: { PATH: process.env["PATH"] ?? "", HOME: cwd, LANG: "C.UTF-8", ...env },
    });
    closeSync(file);
    this.ended = new Promise((resolve, reject) => {
      this.#process.once("error", reject);
      this.#process.once("exit", (code, signal) => {
        this.#end = { way: signal ?? code ?? 0, atMs: hostMs() };
        resolve(this.#end);
      });
    });
    this.ended.catch(() => undefined); // For who waits for it.
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** How it ended; nothing while it runs. */
  get end(): Ended | undefined {
    return this.#end;
  }

  /** What it has said on stdout and stderr. */
  get said(): string {
    return readFileSync(this.#log, "utf8");
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Ends it for good, stopped or not. */
  async destroy(): Promise<void> {
    this.kill("SIGKILL");
    await this.ended.catch(() => undefined);
  }
}
