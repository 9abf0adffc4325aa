// What can be wrong with a store file, and the one line that says so and what to do.

import { LockError } from "../../lock/errors.js";
import { SQLITE, sqliteCode } from "./driver.js";

type FaultKind =
  "foreign" | "newer" | "replaced" | "elsewhere" | "no-shared-memory" | "busy" | "full";

/** Something wrong that is not an error of SQLite's. */
export class StoreFault extends Error {
  readonly kind: FaultKind;
  /** The file's version, with "newer"; how long it was waited, with "busy". */
  readonly amount: number;

  constructor(kind: FaultKind, amount = 0) {
    super(kind);
    this.kind = kind;
    this.amount = amount;
  }
}

/** Whether somebody else has the file's lock just now, so that trying again may help. */
export function isBusy(thrown: unknown): boolean {
  const code = sqliteCode(thrown);
  return code === SQLITE.busy || code === SQLITE.locked;
}

/** Whether the disk has no room for what was to be written. */
export function isFull(thrown: unknown): boolean {
  if (thrown instanceof StoreFault) return thrown.kind === "full";
  return sqliteCode(thrown) === SQLITE.full;
}

const unwritable = (path: string): string =>
  `the store ${path} cannot be written by this user: give write permission on it and on its directory, or name another path`;
const busy = (path: string): string => explainFault(new StoreFault("busy"), path);
const full = (path: string): string => explainFault(new StoreFault("full"), path);

type Words = (path: string, message: string) => string;

const WORDS = new Map<number, Words>([
  [SQLITE.busy, busy],
  [SQLITE.locked, busy],
  [SQLITE.readonly, unwritable],
  [SQLITE.perm, unwritable],
  [SQLITE.full, full],
  [
    SQLITE.ioerr,
    (path, message) =>
      `the store ${path} cannot be read or written (${message}): look for a full disk, a quota, a file size limit or a failing device; what was granted stays granted until its ttl is over`,
  ],
  [
    SQLITE.cantopen,
    (path) =>
      `the store ${path} cannot be opened: see that its directory exists, is not full, and that this user may write there`,
  ],
  [
    SQLITE.notadb,
    (path) =>
      `${path} is not a Stormlock store and not an SQLite database: name another path, or move the file away`,
  ],
  [
    SQLITE.corrupt,
    (path, message) =>
      `the store ${path} is damaged (${message}): when no lock in it is in use, move it away together with ${path}-wal and ${path}-shm, and a new one is made`,
  ],
]);

/** One line that names the file, what is wrong with it and what to do. */
export function explain(thrown: unknown, path: string): string {
  if (thrown instanceof StoreFault) return explainFault(thrown, path);
  if (thrown instanceof LockError) return thrown.message;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const words = WORDS.get(sqliteCode(thrown) ?? 0);
  return words?.(path, message) ?? `the store ${path} cannot be used: ${message}`;
}

function explainFault({ kind, amount }: StoreFault, path: string): string {
  switch (kind) {
    case "foreign":
      return `${path} is the SQLite database of another program: name another path`;
    case "newer":
      return `the store ${path} was made by a newer Stormlock (version ${String(amount)} of its tables): update this one, or name another path`;
    case "replaced":
      return `the store ${path} was removed or replaced while it was in use: never do that while locks are held; the next call opens what is there now`;
    case "elsewhere":
      return `the store ${path} is being used by another machine, or by a container with a clock of its own: give each its own store, or let all ask one daemon`;
    case "no-shared-memory":
      return `the store ${path} is on a file system where processes cannot share memory: name a path on a local disk`;
    case "full":
      return `there is no space left for the store ${path}: make room on its disk; what was granted stays granted until its ttl is over`;
    case "busy":
      return `the store ${path} is locked by another process${amount > 0 ? ` (waited ${String(amount)} ms)` : ""}: try again; if it stays so, find a stopped process with: fuser ${path}`;
  }
}
