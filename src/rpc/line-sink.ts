// Lines to a file descriptor, for a log that must not stop what it tells of.
//
//   E1. A line is written at once, where that is possible: the last one before an end is there.
//   E2. Nobody waits for a reader. What a pipe has no room for is kept, up to a bound; beyond it lines
//       are lost, and counted.
//   E3. A line that cannot be written is lost, and nothing else: a full disk is no end of the daemon.
//   E4. Once lines can be written again, how many were lost is the first of them.
//
// pino's own destination does not do it: it sleeps until a pipe is read, throws what is not EPIPE, and at
// the end waits for a reader as long as that likes.

import { writeSync } from "node:fs";
import type { Clock } from "../lock/clock.js";

// Some ten thousand lines.
const MOST_KEPT_BYTES = 2 * 1024 * 1024;

// How soon a pipe that was full is tried again.
const RETRY_MS = 50;

// How long a process that ends waits for a reader that is slow, and how often it looks.
const FAREWELL_MS = 500;
const FAREWELL_STEP_MS = 10;

interface Kept {
  /** What is to be written: of a line that was begun, the rest. */
  bytes: Buffer;
  /** How many lines are lost with it. */
  readonly lines: number;
}

export class LineSink {
  readonly #fd: number;
  readonly #clock: Clock;
  #kept: Kept[] = [];
  #keptBytes = 0;
  // Since the last notice of it.
  #lost = 0;
  // The line that was written last has no end.
  #isBroken = false;
  #stopWaiting: (() => void) | undefined;

  /** @param fd where it is a pipe, one that does not block: E2 rests on it */
  constructor(fd: number, clock: Clock) {
    this.#fd = fd;
    this.#clock = clock;
  }

  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#keptBytes + bytes.length > MOST_KEPT_BYTES) {
      this.#lost += 1;
      return;
    }
    this.#noteLost();
    this.#keep({ bytes, lines: 1 });
    if (this.#stopWaiting === undefined) this.#drain();
  }

  /** Writes what is kept, or what a reader takes of it in half a second. Blocks: for the very end. */
  flush(): void {
    const untilMs = this.#clock.monotonicMs() + FAREWELL_MS;
    const never = new Int32Array(new SharedArrayBuffer(4));
    this.#noteLost();
    this.#drain();
    while (this.#kept.length > 0 && this.#clock.monotonicMs() < untilMs) {
      Atomics.wait(never, 0, 0, FAREWELL_STEP_MS);
      this.#drain();
    }
    this.#stopWaiting?.();
  }

  // E4, in the place where they are missing.
  #noteLost(): void {
    if (this.#lost === 0) return;
    const notice = {
      ...{ level: "warn", time: new Date(this.#clock.wallMs()).toISOString() },
      msg: `${String(this.#lost)} lines of this log could not be written`,
    };
    this.#keep({ bytes: Buffer.from(`${JSON.stringify(notice)}\n`), lines: this.#lost });
    this.#lost = 0;
  }

  #keep(kept: Kept): void {
    this.#kept.push(kept);
    this.#keptBytes += kept.bytes.length;
  }

  // E1, E2
  #drain(): void {
    this.#stopWaiting?.();
    this.#stopWaiting = undefined;
    const written = this.#kept.findIndex((kept) => this.#put(kept) === "full");
    this.#kept = written === -1 ? [] : this.#kept.slice(written);
    if (this.#kept.length === 0) return;
    this.#stopWaiting = this.#clock.after(RETRY_MS, () => {
      this.#drain();
    });
  }

  #put(kept: Kept): "done" | "full" {
    try {
      if (this.#isBroken) writeSync(this.#fd, "\n");
      this.#isBroken = false;
      while (kept.bytes.length > 0) {
        const size = writeSync(this.#fd, kept.bytes);
        this.#keptBytes -= size;
        kept.bytes = kept.bytes.subarray(size);
        this.#isBroken = kept.bytes.length > 0;
      }
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === "EAGAIN") {
        this.#isBroken = false; // it goes on
        return "full";
      }
      this.#keptBytes -= kept.bytes.length;
      this.#lost += kept.lines; // E3
    }
    return "done";
  }
}
