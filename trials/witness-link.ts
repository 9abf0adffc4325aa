import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setPriority } from "node:os";
import { fileURLToPath } from "node:url";
import type { Sighting } from "./life.js";

const PROGRAM = fileURLToPath(new URL("./witness.js", import.meta.url));
const HIGH_PRIORITY = -15;

/** The process that looks at /proc, see witness.ts. */
export class Witness implements AsyncDisposable {
  readonly #process: ChildProcess;

  constructor(folder: string) {
    this.#process = fork(PROGRAM, [folder]);
    try {
      if (this.#process.pid !== undefined) setPriority(this.#process.pid, HIGH_PRIORITY);
    } catch {
      // Not for this user: it looks a little less often when the machine is crowded.
    }
  }

  /** What it has seen so far. */
  async sightings(): Promise<readonly Sighting[]> {
    const answer = once(this.#process, "message", { signal: AbortSignal.timeout(10_000) });
    this.#process.send("tell");
    const [sightings] = (await answer) as [readonly Sighting[]];
    return sightings;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#process, "exit");
    this.#process.disconnect();
    await gone;
  }
}
