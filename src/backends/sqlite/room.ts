// Room for what is held, when the disk is full. A lease that cannot be renewed ends, so a renewal or
// a release must find room where a new lease does not.
//
//   R1. All writes go to the log first. It has some room from the start, is never cut to less than
//       it has used, and begins anew where it is: what a full disk refuses is its growth alone.
//   R2. It can begin anew once all that is in it has been copied into the file, and so the file
//       must not have to grow for that. What would make it grow is refused unless the disk has
//       room for it, and is copied soon after, before somebody else takes that room.
//   R3. A renewal or a release changes rows where they are: the file does not grow by it.
//
// A file system that writes nothing in place (btrfs, zfs) may refuse even that.

import { appendFileSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Database, Statement } from "./driver.js";
import { SQLITE } from "./driver.js";
import { StoreFault } from "./faults.js";
import { patiently } from "./patience.js";

// Some 250 changed pages. Who changes more at a time has made the log longer by having done so before.
const LOG_BYTES = 1 << 20;

const PAGE_BYTES = 4096; // SQLite's default, in all files of ours.

// Beside what is needed, for the file system's own books.
const SPARE_BYTES = 64 << 10;

// With so much free nobody takes it all before what waits has its place. To ask costs 15 µs, to try 300,
// which halved the rate of leases on new names.
const PLENTY_BYTES = 64 << 20;

// At most so much waits in the log to be given its place in the file.
const MOST_WAITING_PAGES = 256;

export class Room {
  readonly #database: Database;
  readonly #path: string;
  readonly #pages: Statement;
  // How many pages have their place in the file, as far as is known.
  #placed: number;

  constructor(database: Database, path: string) {
    this.#database = database;
    this.#path = path;
    this.#pages = database.prepare("PRAGMA page_count");
    this.#placed = this.#count();
  }

  /** Gives the log its room (R1). What cannot be had now is not had. */
  setAside(busyMs: number): void {
    const log = `${this.#path}-wal`;
    try {
      // Only under the write lock: nobody else lengthens the log meanwhile. What is behind its
      // last transaction is not read. No lock of SQLite's is on this file, so it may be opened.
      patiently(busyMs, () => {
        this.#database.exec("BEGIN IMMEDIATE");
      });
      const bytes = statSync(log).size;
      if (bytes < LOG_BYTES) appendFileSync(log, Buffer.alloc(LOG_BYTES - bytes));
    } catch {
      // The next write tells what is wrong, if it still is.
    } finally {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
    }
    this.#placed = 0;
    this.place();
  }

  /** How much of what is in the log has no place in the file yet. */
  get waiting(): "nothing" | "some" | "much" {
    const pages = this.#count() - this.#placed;
    if (pages <= 0) return "nothing";
    return pages < MOST_WAITING_PAGES ? "some" : "much";
  }

  /** Copies what is in the log into the file, as far as nobody is reading it (R2). */
  place(): void {
    const pages = this.#count();
    try {
      const found = this.#database.prepare("PRAGMA wal_checkpoint(PASSIVE)").get();
      if (found?.["busy"] === 0 && found["log"] === found["checkpointed"]) this.#placed = pages;
    } catch {
      // It stays in the log, where it is as durable.
    }
  }

  /** Call it before a commit. Throws StoreFault "full" when that must not be (R2). */
  admit(): void {
    const pages = this.#count() - this.#placed;
    if (pages > 0 && !this.#hasPlenty()) this.prove(pages * PAGE_BYTES);
  }

  /** Throws StoreFault "full" when the disk has no room for so much. */
  prove(bytes = 0): void {
    const probe = `${this.#path}.room-${String(process.pid)}-${Math.random().toString(36).slice(2)}`;
    try {
      writeFileSync(probe, Buffer.alloc(SPARE_BYTES + bytes), { mode: 0o600 });
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      // Anything else is for SQLite to meet, and to tell.
      if (code === "ENOSPC" || code === "EDQUOT") throw new StoreFault("full");
    } finally {
      rmSync(probe, { force: true });
    }
  }

  /**
   * Lets the log begin anew, so that its room is free again.
   * Throws as SQLite does where that needs room itself, and StoreFault "busy".
   */
  beginLogAnew(busyMs: number): void {
    const restart = this.#database.prepare("PRAGMA wal_checkpoint(RESTART)");
    patiently(busyMs, () => {
      if (restart.get()?.["busy"] === 0) return;
      throw Object.assign(new Error("somebody is at the log"), { errcode: SQLITE.busy });
    });
  }

  // A quota does not show here; it is met when the log cannot be lengthened any more.
  #hasPlenty(): boolean {
    try {
      const { bavail, bsize } = statfsSync(dirname(this.#path));
      return bavail * bsize > PLENTY_BYTES;
    } catch {
      return false;
    }
  }

  #count(): number {
    return Number(this.#pages.get()?.["page_count"]);
  }
}
