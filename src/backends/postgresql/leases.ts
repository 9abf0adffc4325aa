// Questions as a statement's values, and rows as answers.

import type {
  AcquireAnswer,
  AcquireAsk,
  HandOverAnswer,
  HandOverAsk,
  ReleaseAnswer,
  ReleaseAsk,
  RenewAnswer,
  RenewAsk,
} from "../../lock/backend.js";
import { labelsIn } from "../../lock/labels.js";
import type { Lease } from "../../lock/lease.js";
import { readOne } from "../../lock/unreadable.js";
import type { Row } from "./session.js";
import type { Patience, Statements } from "./statements.js";

/** What questions of one kind are to the store. */
export interface Kind<Ask, Answer> {
  readonly values: (asks: readonly Ask[]) => readonly unknown[];
  readonly statement: (statements: Statements) => Patience;
  readonly answer: (row: Row, ask: Ask) => Answer;
}

/** A name as the table keeps it. */
export function key(resource: string): Buffer {
  return Buffer.from(resource);
}

export const acquiring: Kind<AcquireAsk, AcquireAnswer> = {
  statement: ({ acquire }) => acquire,
  values: (asks) => [
    asks.map(({ resource }) => key(resource)),
    asks.map(({ leaseId }) => text(leaseId)),
    asks.map(({ principal }) => text(principal)),
    asks.map(({ ttlMs }) => Math.ceil(ttlMs)),
    asks.map(({ reason }) => text(reason)),
    asks.map(({ labels }) => JSON.stringify(labels)),
  ],
  answer: (row, { resource }) =>
    readOne(resource, (): AcquireAnswer => {
      const [kind] = row;
      if (kind === "spent") return { kind };
      const lease = toLease(row, resource);
      if (kind === "held") return { kind, holder: lease };
      return { kind: "granted", lease, created: kind === "granted" };
    }),
};

export const renewing: Kind<RenewAsk, RenewAnswer> = {
  statement: ({ renew }) => renew,
  values: (asks) => [
    asks.map(({ resource }) => key(resource)),
    asks.map(({ leaseId }) => text(leaseId)),
    asks.map(({ ttlMs }) => (ttlMs === undefined ? null : Math.ceil(ttlMs))),
    asks.map(({ ageMs = 0 }) => Math.ceil(ageMs)),
  ],
  answer: (row, { resource }) =>
    readOne(resource, (): RenewAnswer =>
      row[0] === "lost" ? { kind: "lost" } : { kind: "renewed", lease: toLease(row, resource) },
    ),
};

export const releasing: Kind<ReleaseAsk, ReleaseAnswer> = {
  statement: ({ release }) => release,
  values: (asks) => [
    asks.map(({ resource }) => key(resource)),
    asks.map(({ leaseId }) => text(leaseId)),
    asks.map(({ ifRevision }) => ifRevision ?? null),
  ],
  answer: ([kind]) => ({ kind: kind === "released" ? kind : "not-held" }),
};

/** What is answered has gone from one to the next; the rest has to be asked as two. */
export const handingOver: Kind<HandOverAsk, HandOverAnswer> = {
  statement: ({ handOver }) => handOver,
  values: (asks) => [
    ...releasing.values(asks.map(({ release }) => release)),
    ...acquiring.values(asks.map(({ acquire }) => acquire)).slice(1),
  ],
  answer: (row, { acquire }) => ({
    kind: "asked",
    release: { kind: "released" },
    acquire: { kind: "granted", lease: toLease(row, acquire.resource), created: true },
  }),
};

/** For the statement that finds rows which have these ids. */
export function findValues(asks: readonly (RenewAsk | ReleaseAsk)[]): readonly unknown[] {
  return [asks.map(({ resource }) => key(resource)), asks.map(({ leaseId }) => text(leaseId))];
}

// The one character that no text of PostgreSQL's can have, and one bad value would fail the
// batch of all the others.
function text(value: string): string {
  return value.replaceAll("\0", "\ufffd");
}

/** Where in the batch the question of a row is. */
export function indexOf(row: Row): number {
  return Number(row[1]) - 1;
}

/** What a row says of a lease; the columns are those of `lease` in statements.ts. */
export function toLease(row: Row, resource: string): Lease {
  const [, , leaseId, principal, token, ttlMs, remainingUs] = row;
  const [createdAtUs, expiresAtUs, revision, reason, labels] = row.slice(7);
  return {
    ...{ resource, leaseId: leaseId ?? "", principal: principal ?? "", reason: reason ?? "" },
    ttlMs: Number(ttlMs),
    remainingMs: Math.floor(Number(remainingUs) / 1000),
    token: BigInt(token ?? 0),
    createdAtUs: BigInt(createdAtUs ?? 0),
    expiresAtUs: BigInt(expiresAtUs ?? 0),
    revision: BigInt(revision ?? 0),
    labels: labels === "{}" ? {} : labelsIn(labels ?? "{}"),
  };
}

/** The least key that a page may hold. Greater than the key of no name, which is not a lease's. */
export function firstKey(prefix: string, after: string | undefined): Buffer {
  const fromPrefix = prefix === "" ? Buffer.of(0) : key(prefix);
  if (after === undefined) return fromPrefix;
  const fromAfter = Buffer.concat([key(after), Buffer.of(0)]);
  return Buffer.compare(fromPrefix, fromAfter) > 0 ? fromPrefix : fromAfter;
}

/**
 * The least key that is after all names with this prefix. UTF-8 has no byte 0xff, so the last
 * byte can always be raised, and one 0xff is after all names.
 */
export function firstKeyAfterPrefix(prefix: string): Buffer {
  if (prefix === "") return Buffer.of(0xff);
  const next = key(prefix);
  next[next.length - 1] = (next.at(-1) ?? 0) + 1;
  return next;
}
