// The questions, answered on an open write (or, for the last two, read) transaction.
//
//   Q1. A lease is held while it is not released and its end is after now. Both are looked at
//       under the write lock, so nobody decides at the same time.
//   Q2. A row keeps token and lease id after its lease has ended, until it is pruned; the
//       floor then stands in for the token.
//   Q3. An end never moves to an earlier time but by release.

import type { Database, Statement } from "./driver.js";
import { FIRST_KEY, keyAfter } from "./keys.js";
import {
  type AcquireAskValues,
  type AnswerValues,
  type LeaseValues,
  type ListAskValues,
  type ReleaseAskValues,
  type RenewAskValues,
  NO_REVISION,
} from "./messages.js";

/** One moment, as all the questions of a transaction see it. */
export interface Moment {
  /** The store's own time: it decides. */
  readonly nowUs: number;
  /** For tokens and for people. */
  readonly wallUs: number;
  /** No token of a resource without a row was greater. */
  readonly tokenFloor: number;
}

interface LeaseRow {
  readonly lease_id: string;
  readonly principal: string;
  readonly token: number;
  readonly created_us: number;
  readonly expires_us: number;
  readonly ttl_ms: number;
  readonly revision: number;
  readonly released: number;
  readonly reason: string;
  readonly labels: string;
}

const COLUMNS =
  "lease_id, principal, token, created_us, expires_us, ttl_ms, revision, released, reason, labels";

export class Leases {
  readonly #find: Statement;
  readonly #put: Statement;
  readonly #extend: Statement;
  readonly #renew: Statement;
  readonly #release: Statement;
  readonly #list: Statement;

  constructor(database: Database) {
    this.#find = database.prepare(`SELECT ${COLUMNS} FROM leases WHERE resource = ?`);
    this.#put = database.prepare(
      `INSERT INTO leases VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?4, ?8, 0, ?9, ?10)
       ON CONFLICT (resource) DO UPDATE SET lease_id = ?2, principal = ?3, token = ?4,
         created_us = ?5, expires_us = ?6, ttl_ms = ?7, revision = ?4, touched_us = ?8,
         released = 0, reason = ?9, labels = ?10`,
    );
    this.#extend = database.prepare(
      `UPDATE leases SET expires_us = ?2, ttl_ms = ?3, revision = ?4, touched_us = ?5
       WHERE resource = ?1`,
    );
    // Looked for and written at once: renewals are what a store with many leases does most.
    this.#renew = database.prepare(
      `UPDATE leases SET expires_us = max(expires_us, ?3 + (ifnull(?4, ttl_ms) - ?5) * 1000),
         ttl_ms = ifnull(?4, ttl_ms), revision = revision + 1, touched_us = ?3
       WHERE resource = ?1 AND lease_id = ?2 AND NOT released AND expires_us > ?3
       RETURNING ${COLUMNS}`,
    );
    this.#release = database.prepare(
      `UPDATE leases SET released = 1, revision = revision + 1, touched_us = ?2
       WHERE resource = ?1`,
    );
    this.#list = database.prepare(
      `SELECT resource, ${COLUMNS} FROM leases
       WHERE resource >= ?1 AND resource < ?2 AND NOT released AND expires_us > ?3
       ORDER BY resource LIMIT ?4`,
    );
  }

  /** @returns the answer, and whether the resource had no row before */
  acquire(ask: AcquireAskValues, moment: Moment): { answer: AnswerValues; isNew: boolean } {
    const [resource, leaseId, principal, ttlMs, reason, labels] = ask;
    const key = Buffer.from(resource);
    const row = this.#row(key);
    const refusal = refusalOf(row, leaseId, moment);
    if (refusal !== undefined) return { answer: refusal, isNew: false };
    if (row !== undefined && isHeld(row, moment)) {
      return { answer: ["extended", this.#renewed(key, row, ttlMs, moment)], isNew: false };
    }
    const token = Math.max((row?.token ?? moment.tokenFloor) + 1, moment.wallUs); // Q2
    const expiresUs = moment.nowUs + ttlMs * 1000;
    const { nowUs, wallUs } = moment;
    this.#put.run(
      ...[key, leaseId, principal, token, wallUs, expiresUs, ttlMs, nowUs, reason, labels],
    );
    const lease: LeaseValues = [
      ...([leaseId, principal, token, ttlMs, ttlMs] as const),
      ...([wallUs, wallUs + ttlMs * 1000, token, reason, labels] as const),
    ];
    return { answer: ["granted", lease], isNew: row === undefined };
  }

  /** The answer, if it is one that changes nothing: it needs no write transaction. */
  refusal([resource, leaseId]: AcquireAskValues, moment: Moment): AnswerValues | undefined {
    return refusalOf(this.#row(Buffer.from(resource)), leaseId, moment);
  }

  renew([resource, leaseId, ttlMs, ageMs]: RenewAskValues, moment: Moment): AnswerValues {
    const key = Buffer.from(resource);
    const row = this.#renew.get(...[key, leaseId, moment.nowUs, ttlMs ?? null, ageMs]); // Q1, Q3
    return row === undefined
      ? ["lost"]
      : ["renewed", leaseValues(row as unknown as LeaseRow, moment)];
  }

  release([resource, leaseId, ifRevision]: ReleaseAskValues, moment: Moment): AnswerValues {
    const key = Buffer.from(resource);
    const row = this.#row(key);
    if (row?.lease_id !== leaseId || !isHeld(row, moment)) return ["not-held"];
    if (ifRevision !== NO_REVISION && ifRevision !== row.revision) return ["not-held"];
    this.#release.run(key, moment.nowUs);
    return ["released"];
  }

  current(resource: string, moment: Moment): LeaseValues | undefined {
    const row = this.#row(Buffer.from(resource));
    return row !== undefined && isHeld(row, moment) ? leaseValues(row, moment) : undefined;
  }

  list([prefix, after, limit]: ListAskValues, moment: Moment): [string, LeaseValues][] {
    const rows = this.#list.all(
      ...[firstKey(prefix, after), firstKeyAfterPrefix(prefix), moment.nowUs, limit],
    );
    return rows.map((row) => [
      Buffer.from(row["resource"] as Uint8Array).toString(),
      leaseValues(row as unknown as LeaseRow, moment),
    ]);
  }

  #row(key: Uint8Array): LeaseRow | undefined {
    return this.#find.get(key) as unknown as LeaseRow | undefined;
  }

  #renewed(key: Uint8Array, row: LeaseRow, ttlMs: number, moment: Moment): LeaseValues {
    const expiresUs = Math.max(row.expires_us, moment.nowUs + ttlMs * 1000); // Q3
    const revision = row.revision + 1;
    this.#extend.run(key, expiresUs, ttlMs, revision, moment.nowUs);
    return leaseValues({ ...row, expires_us: expiresUs, ttl_ms: ttlMs, revision }, moment);
  }
}

// Q1
function isHeld(row: LeaseRow, moment: Moment): boolean {
  return row.released === 0 && row.expires_us > moment.nowUs;
}

function refusalOf(
  row: LeaseRow | undefined,
  leaseId: string,
  moment: Moment,
): AnswerValues | undefined {
  if (row === undefined) return undefined;
  const isOwn = row.lease_id === leaseId;
  if (isHeld(row, moment)) return isOwn ? undefined : ["held", leaseValues(row, moment)];
  return isOwn ? ["spent"] : undefined;
}

function leaseValues(row: LeaseRow, { nowUs, wallUs }: Moment): LeaseValues {
  const remainingUs = row.expires_us - nowUs;
  return [
    ...([row.lease_id, row.principal, row.token, row.ttl_ms] as const),
    ...([Math.floor(remainingUs / 1000), row.created_us, wallUs + remainingUs] as const),
    ...([row.revision, row.reason, row.labels] as const),
  ];
}

// The least key that a page may hold. Never empty: drivers bind no bytes as NULL.
function firstKey(prefix: string, after: string | undefined): Uint8Array {
  const fromPrefix = prefix === "" ? FIRST_KEY : Buffer.from(prefix);
  if (after === undefined) return fromPrefix;
  const fromAfter = keyAfter(Buffer.from(after));
  return Buffer.compare(fromPrefix, fromAfter) > 0 ? fromPrefix : fromAfter;
}

// The least key that is after every name with this prefix. UTF-8 has no byte 0xff, so the
// last byte can always be raised, and one 0xff is after all names.
function firstKeyAfterPrefix(prefix: string): Uint8Array {
  if (prefix === "") return Uint8Array.of(0xff);
  const next = Uint8Array.from(Buffer.from(prefix));
  next[next.length - 1] = (next.at(-1) ?? 0) + 1;
  return next;
}
