// The store's tables, and what has to be done before the first question can be answered.

import { StoreFault } from "./faults.js";
import type { Database, Statement } from "./driver.js";
import type { HostClock } from "./host-clock.js";

// "StLk": tells our files from other programs' SQLite databases.
const APPLICATION_ID = 0x53744c6b;

// Raised when a change to the tables would mislead an older Stormlock.
const SCHEMA_VERSION = 1;

// Resources are stored as bytes, so that they are ordered by bytes and none ends at a NUL.
// A row outlives its lease: it remembers the token and the id of the last one. Times in
// *_us are the host's monotonic ones, all of the boot that `store` names, except created_us.
const TABLES = `
  CREATE TABLE leases (
    resource   BLOB PRIMARY KEY,
    lease_id   TEXT NOT NULL,
    principal  TEXT NOT NULL,
    token      INTEGER NOT NULL,
    created_us INTEGER NOT NULL, -- wall clock, for people
    expires_us INTEGER NOT NULL,
    ttl_ms     INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    touched_us INTEGER NOT NULL, -- the last write
    released   INTEGER NOT NULL,
    reason     TEXT NOT NULL,
    labels     TEXT NOT NULL     -- JSON
  ) STRICT, WITHOUT ROWID;
  -- For lists: of the rows of a day hardly any is held. 860 000 rows, ten of them held: 60 ms
  -- without it, 0.1 with it, in the thread that renews.
  CREATE INDEX held ON leases (resource) WHERE NOT released;
  CREATE TABLE store (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    boot         TEXT NOT NULL,
    suspended_us INTEGER NOT NULL, -- added to the host's monotonic clock
    token_floor  INTEGER NOT NULL, -- no token of a deleted row was greater
    releases     INTEGER NOT NULL, -- counted, for those who wait
    swept_to     BLOB NOT NULL,    -- where the search for old rows goes on
    checks       INTEGER NOT NULL  -- counted, to prove that writing works
  ) STRICT;`;

/**
 * Refuses, without changing anything, a file that is not ours to use.
 * @returns whether it has our tables; otherwise it is empty
 */
export function inspect(database: Database): boolean {
  const version = database.prepare("PRAGMA user_version");
  const tables = Number(database.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.["n"]);
  if (tables === 0 && versionOf(version) === 0) return false;
  const application = database.prepare("PRAGMA application_id").get()?.["application_id"];
  if (application !== APPLICATION_ID) throw new StoreFault("foreign");
  inspectVersion(version);
  return true;
}

/** Refuses the tables of a newer Stormlock, which may have come while we were at work. */
export function inspectVersion(version: Statement): void {
  const found = versionOf(version);
  if (found > SCHEMA_VERSION) throw new StoreFault("newer", found);
}

function versionOf(version: Statement): number {
  return Number(version.get()?.["user_version"]);
}

/** Creates the tables of a new file. Call it inside a write transaction. */
export function createTables(database: Database, clock: HostClock): void {
  database.exec(TABLES);
  database
    .prepare("INSERT INTO store VALUES (1, ?, ?, 0, 0, x'00', 0)")
    .run(clock.bootId, clock.suspendedUs());
  database.exec(`PRAGMA application_id = ${String(APPLICATION_ID)}`);
  database.exec(`PRAGMA user_version = ${String(SCHEMA_VERSION)}`);
}

/** Whether the times in the file are of this boot of this host. */
export function isOfThisBoot(database: Database, clock: HostClock): boolean {
  return database.prepare("SELECT boot FROM store").get()?.["boot"] === clock.bootId;
}

/**
 * Carries a store over from another boot, whose monotonic times mean nothing in this one.
 * Call it inside a write transaction.
 *
 * How long the machine was down is not known. The last write is the latest moment of the old
 * boot that is: what had ended by then stays ended, and what had not gets its whole ttl anew
 * (or what it had left then, if that was more), so that no holder is ever cut short.
 */
export function carryOver(database: Database, clock: HostClock): void {
  const suspendedUs = clock.suspendedUs();
  const nowUs = clock.monotonicUs() + suspendedUs;
  const last = database.prepare("SELECT max(touched_us) AS us FROM leases").get()?.["us"];
  const seenUs = typeof last === "number" ? last : 0;
  database
    .prepare(
      `UPDATE leases SET
         expires_us = ?1 + CASE WHEN released OR expires_us <= ?2
           THEN expires_us - ?2 ELSE max(expires_us - ?2, ttl_ms * 1000) END,
         touched_us = ?1 + touched_us - ?2`,
    )
    .run(nowUs, seenUs);
  database.prepare("UPDATE store SET boot = ?, suspended_us = ?").run(clock.bootId, suspendedUs);
}
