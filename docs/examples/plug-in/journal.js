// A file to which any number of processes of one host append lines, and which all of them read in
// the same order.
//
//   J1. A line is written by one append, begins and ends with a line feed, and is on the disk when
//       `append` returns. What a crash has cut off is no JSON, and everybody skips it.
//   J2. Only whole lines are read: the last one may still be growing.

import { Buffer } from "node:buffer";
import { open } from "node:fs/promises";

const LINE_FEED = 0x0a;
const PIECE_BYTES = 64 * 1024;

/** Opens a journal, making its file when it is missing. */
export async function openJournal(path) {
  return new Journal(await open(path, "a+", 0o600));
}

class Journal {
  #file;
  #readTo = 0;
  #rest = Buffer.alloc(0);

  constructor(file) {
    this.#file = file;
  }

  /** Adds a line. */
  async append(record) {
    const line = Buffer.from(`\n${JSON.stringify(record)}\n`);
    const { bytesWritten } = await this.#file.write(line);
    if (bytesWritten < line.length) throw new Error("there is no space left"); // J1
    await this.#file.datasync();
  }

  /** Calls `each` with every line that was added, by whomever, since the last call. */
  async read(each) {
    for (;;) {
      const piece = Buffer.alloc(PIECE_BYTES);
      const { bytesRead } = await this.#file.read(piece, 0, PIECE_BYTES, this.#readTo);
      if (bytesRead === 0) return;
      this.#readTo += bytesRead;
      const text = Buffer.concat([this.#rest, piece.subarray(0, bytesRead)]);
      const end = text.lastIndexOf(LINE_FEED) + 1; // J2
      this.#rest = text.subarray(end);
      for (const line of text.subarray(0, end).toString().split("\n")) {
        const record = parsed(line);
        if (record !== undefined) each(record);
      }
    }
  }

  async close() {
    await this.#file.close();
  }
}

function parsed(line) {
  try {
    return line === "" ? undefined : JSON.parse(line);
  } catch {
    return undefined;
  }
}
