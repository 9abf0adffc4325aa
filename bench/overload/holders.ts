import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import type { HoldersOrder, HoldersReport } from "./programs/holders.js";

const HELD_WITHIN_MS = 30_000;
const REPORT_WITHIN_MS = 10_000;

/** Holders in a process of their own. */
export class Holders implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string, unknown>;

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    this.#child = child;
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  }

  /** @throws when they do not hold what they want, soon */
  static async start(program: string, order: HoldersOrder): Promise<Holders> {
    const argv = [program, JSON.stringify(order)];
    const holders = new Holders(
      spawn(process.execPath, argv, { stdio: ["pipe", "pipe", "inherit"] }),
    );
    const line = await holders.#line(HELD_WITHIN_MS);
    if (line === "held") return holders;
    await holders[Symbol.asyncDispose]();
    throw new Error(`the holders do not hold what they want: ${line}`);
  }

  async report(): Promise<HoldersReport> {
    this.#child.stdin.end();
    return JSON.parse(await this.#line(REPORT_WITHIN_MS)) as HoldersReport;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }

  async #line(withinMs: number): Promise<string> {
    const overdue = setTimeout(() => this.#child.kill("SIGKILL"), withinMs);
    const { value, done } = await this.#lines.next();
    clearTimeout(overdue);
    if (done === true || typeof value !== "string") throw new Error("the holders have ended");
    return value;
  }
}
