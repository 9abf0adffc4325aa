// An SQLite file has no server to be stopped. What stops it is another process that has its lock.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";

const LOCKED_WITHIN_MS = 30_000;

// The package and not Node's own module: it is the same on every Node. What the transaction has
// written is nobody's: it goes when the process does.
const SCRIPT = `
import { DatabaseSync } from "@photostructure/sqlite";
const file = new DatabaseSync(process.argv[1]);
file.exec("PRAGMA busy_timeout = ${String(LOCKED_WITHIN_MS)}");
file.exec("BEGIN EXCLUSIVE");
file.exec("CREATE TABLE nobody (is_there)");
process.stdout.write("locked");
process.stdin.once("end", () => {
  file.exec("ROLLBACK");
  file.close();
}).resume();
`;

/** A process that is in the middle of a transaction on a file, and lets nobody else write. */
export class FileLock implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Returns when it has the lock. */
  static async take(path: string): Promise<FileLock> {
    const args = ["--input-type=module", "-e", SCRIPT, path];
    const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
    const overdue = setTimeout(() => child.kill("SIGKILL"), LOCKED_WITHIN_MS);
    const isLocked = await Promise.race([
      once(child.stdout, "data").then(() => true),
      once(child, "exit").then(() => false),
    ]);
    clearTimeout(overdue);
    if (!isLocked) throw new Error(`${path} could not be locked`);
    return new FileLock(child);
  }

  /** Takes its changes back, and gives the file free. */
  async release(): Promise<void> {
    await this.#end(() => this.#child.stdin?.end());
  }

  /** Kills the process in the middle of its transaction. */
  async kill(): Promise<void> {
    await this.#end(() => this.#child.kill("SIGKILL"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  async #end(how: () => unknown): Promise<void> {
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) return;
    const ended = once(this.#child, "exit");
    how();
    await ended;
  }
}
