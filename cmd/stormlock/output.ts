// The result on stdout, everything else on stderr. Both are written at once and without
// node's streams: a stream would make a pipe that is shared with other programs non-blocking,
// and what had not been written when the process ends would be gone.

import { writeSync } from "node:fs";

// How long a reader may leave a full pipe standing before a note to it is dropped.
const NOTE_PATIENCE_MS = 1000;
const PAUSE_MS = 5;

/** The result could not be written: whoever should read it has gone, or the disk is full. */
export class OutputError extends Error {
  override readonly name = "OutputError";
  readonly isBrokenPipe: boolean;
  /** What has been done about it; a reader that goes away is nothing to talk about otherwise. */
  readonly remedy: string | undefined;

  constructor(cause: NodeJS.ErrnoException, remedy?: string) {
    const done = remedy === undefined ? "" : `; ${remedy}`;
    super(`stdout cannot be written (${cause.code ?? cause.message})${done}`, { cause });
    this.isBrokenPipe = cause.code === "EPIPE";
    this.remedy = remedy;
  }
}

export interface OutputOptions {
  readonly isJson: boolean;
  readonly isQuiet: boolean;
  /** Whether stderr takes colours: asked when there is something to colour. */
  readonly isColoured: () => boolean;
}

const RED = "\u001b[31m";
const PLAIN = "\u001b[39m";

export class Output {
  readonly isJson: boolean;
  readonly isQuiet: boolean;
  readonly #isColoured: () => boolean;
  #isLineOpen = false;
  #last: string | undefined;

  constructor({ isJson, isQuiet, isColoured }: OutputOptions) {
    this.isJson = isJson;
    this.isQuiet = isQuiet;
    this.#isColoured = isColoured;
  }

  /**
   * Writes the result, or a part of it.
   * @throws OutputError
   */
  result(text: string): void {
    this.clearStatus();
    try {
      writeAll(1, text, Infinity);
    } catch (thrown) {
      throw new OutputError(thrown as NodeJS.ErrnoException);
    }
  }

  /**
   * Writes the result as one line of JSON.
   * @throws OutputError
   */
  json(value: unknown): void {
    this.result(`${JSON.stringify(value)}\n`);
  }

  /** Something worth knowing that is neither the result nor an error. */
  note(text: string): void {
    if (this.isQuiet) return;
    this.clearStatus();
    this.#toStderr(this.isJson ? `${JSON.stringify({ note: text })}\n` : `${text}\n`);
  }

  /** A line that the next one takes the place of: for terminals. */
  status(text: string): void {
    if (this.isQuiet) return;
    this.#toStderr(`\r\u001b[K${text}`);
    this.#isLineOpen = true;
  }

  /** Takes the status line away. */
  clearStatus(): void {
    if (!this.#isLineOpen) return;
    this.#isLineOpen = false;
    this.#toStderr("\r\u001b[K");
  }

  /** A plain no, in words: who asked quietly reads it from the exit code. */
  no(kind: string, message: string, details: object = {}): void {
    if (!this.isQuiet) this.error(kind, message, undefined, details);
  }

  /** What stopped the command. */
  error(kind: string, message: string, hint?: string, details: object = {}): void {
    this.clearStatus();
    if (this.isJson) {
      this.#toStderr(`${JSON.stringify({ error: kind, message, hint, ...details })}\n`);
      return;
    }
    const name = this.#isColoured() ? `${RED}stormlock:${PLAIN}` : "stormlock:";
    const lines = message.split("\n").map((line) => `${name} ${line}\n`);
    this.#toStderr(lines.join("") + (hint === undefined ? "" : `${hint}\n`));
  }

  /** Has a line of JSON on stderr, behind everything else, if JSON is what is wanted. */
  saveForLast(value: unknown): void {
    if (this.isJson) this.#last = `${JSON.stringify(value)}\n`;
  }

  /** Writes what was saved for last: nothing is written after it. */
  end(): void {
    if (this.#last !== undefined) this.#toStderr(this.#last);
    this.#last = undefined;
  }

  // Nobody can be told that stderr does not work.
  #toStderr(text: string): void {
    try {
      writeAll(2, text, NOTE_PATIENCE_MS);
    } catch {
      return;
    }
  }
}

// Another program may have made the pipe non-blocking; then a full one says EAGAIN.
function writeAll(fd: number, text: string, patienceMs: number): void {
  let left: Uint8Array = Buffer.from(text);
  let patienceLeftMs = patienceMs;
  while (left.length > 0) {
    try {
      left = left.subarray(writeSync(fd, left));
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== "EAGAIN" || patienceLeftMs <= 0) throw thrown;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
      patienceLeftMs -= PAUSE_MS;
    }
  }
}
