import { writeSync } from "node:fs";

const FULL_PIPE_WAIT_MS = 10;
const FULL_PIPE_ATTEMPTS = 50;

/** Says a line to whoever runs this process. */
export type Say = (message: string) => void;

/**
 * Says a line on stderr while a command shares it. Never by `process.stderr`: its first use
 * makes a shared pipe non-blocking, and the command's own writes fail. A line that does not fit
 * within half a second is dropped rather than delay anything longer.
 */
export function say(message: string): void {
  write(`stormlock: ${message}\n`);
}

/** The same for programs. */
export function sayAsJson(message: string): void {
  write(`${JSON.stringify({ note: message })}\n`);
}

function write(line: string): void {
  let bytes = Buffer.from(line);
  for (let attempt = 0; attempt < FULL_PIPE_ATTEMPTS && bytes.length > 0; attempt++) {
    try {
      bytes = bytes.subarray(writeSync(2, bytes));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") return; // Nobody listens.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_PIPE_WAIT_MS);
    }
  }
}
