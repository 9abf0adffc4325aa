// A connection to a store file that is known to be ours, of this version and of this boot.

import { statSync } from "node:fs";
import type { Database, Driver, Statement } from "./driver.js";
import { StoreFault } from "./faults.js";
import { createMissing } from "./file.js";
import type { HostClock } from "./host-clock.js";
import { Leases } from "./leases.js";
import { patiently } from "./patience.js";
import { Pruning } from "./prune.js";
import { Room } from "./room.js";
import { carryOver, createTables, inspect, isOfThisBoot } from "./schema.js";

export interface ConnectionOptions {
  /** The file; it is made when it is missing. */
  readonly path: string;
  /** How long to try for a lock that somebody else has. */
  readonly busyMs: number;
  readonly clock: HostClock;
  /** Whether it stays open for long, so that it is worth setting room aside. */
  readonly isLasting: boolean;
}

export interface Connection {
  readonly database: Database;
  readonly leases: Leases;
  readonly pruning: Pruning;
  readonly room: Room;
  readonly version: Statement;
  readonly state: Statement;
  readonly noteSuspension: Statement;
  readonly countReleases: Statement;
  readonly countCheck: Statement;
  readonly dataVersion: Statement;
  /** Which file it is, whatever its path is now. */
  readonly inode: string;
}

/** Throws as SQLite does, StoreFault, or LockError "unavailable". */
export function connect(driver: Driver, options: ConnectionOptions): Connection {
  const { path } = options;
  createMissing(path);
  const inode = inodeOf(path); // Before it is opened: a replacement in between is then noticed.
  const database = new driver.DatabaseSync(path);
  try {
    initialize(database, options);
    const room = new Room(database, path);
    if (options.isLasting) room.setAside(options.busyMs);
    return {
      ...{ database, inode, room },
      leases: new Leases(database),
      pruning: new Pruning(database),
      version: database.prepare("PRAGMA user_version"),
      state: database.prepare("SELECT * FROM store"),
      noteSuspension: database.prepare("UPDATE store SET suspended_us = ?"),
      countReleases: database.prepare("UPDATE store SET releases = releases + ?"),
      countCheck: database.prepare("UPDATE store SET checks = checks + 1"),
      dataVersion: database.prepare("PRAGMA data_version"),
    };
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Which file is at a path now. */
export function inodeOf(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? "none" : `${String(found.dev)}:${String(found.ino)}`;
}

function initialize(database: Database, { busyMs, clock }: ConnectionOptions): void {
  const isReady = patiently(busyMs, () => inspect(database) && isOfThisBoot(database, clock));
  // The first to come changes the file's mode, for good; it has to be alone for that.
  const mode = patiently(busyMs, () => database.prepare("PRAGMA journal_mode = WAL").get());
  if (mode?.["journal_mode"] !== "wal") throw new StoreFault("no-shared-memory");
  database.exec("PRAGMA synchronous = FULL");
  database.exec("PRAGMA fullfsync = ON"); // On macOS fsync alone leaves it in the disk's cache.
  database.exec("PRAGMA journal_size_limit = 16777216");
  if (isReady) return;
  patiently(busyMs, () => {
    database.exec("BEGIN IMMEDIATE");
  });
  // Others may have come first: what was seen before the lock does not count.
  if (!inspect(database)) createTables(database, clock);
  if (!isOfThisBoot(database, clock)) carryOver(database, clock);
  database.exec("COMMIT");
}
