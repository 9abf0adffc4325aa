// Granting, extending and ending, one resource at a time.
//
//   L1. A lease is held until its end and the declared clock skew have passed by the clock of
//       whoever looks: so a taker-over whose clock is ahead waits for a holder whose clock is
//       behind, and a renewal through a daemon whose clock is ahead loses nothing.
//   L2. The first write is made blind, on conditions that nearly always say all; the item that
//       a refusal shows decides what comes next, and that write holds only for this very item.
//   L3. Every time is read anew for every attempt, and none while this host's clock is off.

import type {
  AcquireAnswer,
  AcquireAsk,
  ReleaseAnswer,
  ReleaseAsk,
  RenewAnswer,
  RenewAsk,
} from "../../lock/backend.js";
import { LockError } from "../../lock/errors.js";
import type { Lease } from "../../lock/lease.js";
import type { Connection } from "./connection.js";
import { leaseOf, newRow, type Row } from "./rows.js";
import type { Deadline } from "./slots.js";
import {
  and,
  extension,
  isHeldBy,
  isUnchanged,
  mayFollow,
  RELEASE,
  Writes,
  type Condition,
} from "./writes.js";

// Each round is lost to somebody else's write of the same item.
const MOST_ROUNDS = 20;

const WRITE_ID_BYTES = 8;

export class Leases {
  readonly #connection: Connection;
  readonly #writes: Writes;
  readonly #skewUs: number;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#writes = new Writes(connection);
    this.#skewUs = connection.options.maxClockSkewMs * 1000;
  }

  async acquire(ask: AcquireAsk, deadline: Deadline): Promise<AcquireAnswer> {
    const writeId = newWriteId();
    let seen: Row | undefined;
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const { kind, row } = await this.#writes.put(deadline, ask.resource, () =>
        this.#grant(ask, seen, writeId),
      );
      if (kind === "done" && row !== undefined) return this.#granted(row, true);
      if (row === undefined || !this.#isHeld(row)) {
        if (row?.leaseId === ask.leaseId) return { kind: "spent" };
        seen = row;
        continue;
      }
      if (row.writeId === writeId) return this.#granted(row, true); // W1
      if (row.leaseId !== ask.leaseId) return { kind: "held", holder: this.#holder(row) };
      const extended = await this.#extend(ask, row, this.#now(), deadline);
      if (extended !== undefined) return this.#granted(extended, false);
      seen = undefined;
    }
    throw this.#contended(ask.resource);
  }

  async renew(ask: RenewAsk, deadline: Deadline): Promise<RenewAnswer> {
    // Once and not for every attempt: a renewal that succeeds late gives no more.
    const fromUs = this.#now() - Math.ceil(ask.ageMs ?? 0) * 1000;
    const seen =
      ask.ttlMs === undefined ? await this.#writes.read(deadline, ask.resource) : undefined;
    if (ask.ttlMs === undefined && seen === undefined) return { kind: "lost" };
    const row = await this.#extend(ask, seen, fromUs, deadline);
    return row === undefined ? { kind: "lost" } : { kind: "renewed", lease: this.#lease(row) };
  }

  async release(ask: ReleaseAsk, deadline: Deadline): Promise<ReleaseAnswer> {
    const { resource, leaseId, ifRevision } = ask;
    const writeId = newWriteId();
    const { kind, row } = await this.#writes.change(deadline, resource, () => {
      const condition = isHeldBy(leaseId, this.#heldFrom());
      const revision = { ":if_revision": { N: String(ifRevision) } };
      return {
        ...{ values: RELEASE, writeId },
        condition:
          ifRevision === undefined
            ? condition
            : and(condition, "#revision = :if_revision", revision),
      };
    });
    const isDone = kind === "done" || row?.writeId === writeId; // W1
    return { kind: isDone ? "released" : "not-held" };
  }

  /** The lease that holds a row's resource now. */
  held(row: Row | undefined): Lease | undefined {
    return row !== undefined && this.#isHeld(row) ? this.#lease(row) : undefined;
  }

  /** Since when a lease may have ended and still be held, in µs. L1 */
  heldFromUs(): number {
    return this.#heldFrom();
  }

  #grant(
    ask: AcquireAsk,
    seen: Row | undefined,
    writeId: string,
  ): {
    readonly row: Row;
    readonly condition: Condition;
  } {
    const nowUs = this.#now();
    const wall = BigInt(nowUs);
    const next = (seen?.token ?? 0n) + 1n;
    const row = newRow(ask, next > wall ? next : wall, nowUs, writeId);
    return {
      row,
      condition: seen === undefined ? mayFollow(row, nowUs - this.#skewUs) : isUnchanged(seen), // L2
    };
  }

  // The row after it, or undefined when the lease holds the resource no more.
  async #extend(
    { resource, leaseId, ttlMs }: RenewAsk,
    known: Row | undefined,
    fromUs: number,
    deadline: Deadline,
  ): Promise<Row | undefined> {
    const writeId = newWriteId();
    let seen = known;
    for (let round = 0; round < MOST_ROUNDS; round++) {
      if (seen !== undefined && (seen.leaseId !== leaseId || !this.#isHeld(seen))) return undefined;
      const ttl = Math.ceil(ttlMs ?? seen?.ttlMs ?? 0);
      const wantedUs = fromUs + ttl * 1000;
      const expiresUs = Math.max(seen?.expiresUs ?? 0, wantedUs);
      const values = extension(expiresUs, ttl, seen?.token);
      const { kind, row } = await this.#writes.change(deadline, resource, () => ({
        ...{ values, writeId },
        condition: seen === undefined ? this.#mayEndAt(leaseId, wantedUs) : isUnchanged(seen),
      }));
      if (kind === "done" || row?.writeId === writeId) return row; // W1
      if (row === undefined) return undefined;
      seen = row;
    }
    throw this.#contended(resource);
  }

  // Held, and neither its end nor the time of its pruning would come earlier. L2
  #mayEndAt(leaseId: string, expiresUs: number): Condition {
    return and(
      isHeldBy(leaseId, this.#heldFrom()),
      "#expires_us <= :wanted AND #token <= :wanted",
      { ":wanted": { N: String(expiresUs) } },
    );
  }

  #isHeld(row: Row): boolean {
    return !row.isReleased && row.expiresUs >= this.#heldFrom();
  }

  // L1
  #heldFrom(): number {
    return this.#now() - this.#skewUs;
  }

  // L3
  #now(): number {
    return this.#connection.time.nowUs();
  }

  #lease(row: Row): Lease {
    return leaseOf(row, this.#now());
  }

  #granted(row: Row, created: boolean): AcquireAnswer {
    return { kind: "granted", lease: this.#lease(row), created };
  }

  // For one who waits, what remains includes the slack: asking sooner costs a write and no more.
  #holder(row: Row): Lease {
    const lease = this.#lease(row);
    const untilFreeMs = Math.ceil((row.expiresUs - this.#heldFrom()) / 1000) + 1;
    return { ...lease, remainingMs: Math.max(1, Math.min(row.ttlMs, untilFreeMs)) };
  }

  #contended(resource: string): LockError {
    const name = JSON.stringify(resource);
    return new LockError(
      "unavailable",
      `${name} in ${this.#connection.options.place} is being written by too many at once: try again`,
    );
  }
}

function newWriteId(): string {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(WRITE_ID_BYTES));
  return Buffer.from(bytes).toString("hex");
}
