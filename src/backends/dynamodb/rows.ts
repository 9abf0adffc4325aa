// A lease as an item of the table, and back.

import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import type { AcquireAsk } from "../../lock/backend.js";
import { LockError } from "../../lock/errors.js";
import { labelsIn } from "../../lock/labels.js";
import type { Lease } from "../../lock/lease.js";

export type Item = Record<string, AttributeValue>;

/** The key, and the attribute by which DynamoDB prunes. Others see them in the table's definition. */
export const KEY = "resource";
export const PRUNE_ATTRIBUTE = "prune_after";

/**
 * What the table remembers of a resource: its lease, or its last one. It outlives the lease, so
 * that tokens grow and a spent lease id is known.
 */
export interface Row {
  readonly resource: string;
  readonly leaseId: string;
  readonly principal: string;
  readonly token: bigint;
  readonly createdUs: number;
  readonly expiresUs: number;
  readonly ttlMs: number;
  readonly revision: bigint;
  readonly isReleased: boolean;
  /** Random, of the last write: by it a write whose answer was lost is found again. */
  readonly writeId: string;
  readonly reason: string;
  readonly labels: string;
}

// Longer than any duplicate is under way.
const KEEP_ROWS_S = 24 * 60 * 60;

/**
 * When DynamoDB may delete the row, in seconds since 1970: never while its lease lives, and never
 * before wall clocks have passed its token, since that is what the next one is made of.
 */
export function pruneAfterS(expiresUs: number, token: bigint): number {
  return Math.ceil(Math.max(expiresUs, Number(token)) / 1_000_000) + KEEP_ROWS_S;
}

export function newRow(ask: AcquireAsk, token: bigint, nowUs: number, writeId: string): Row {
  const { resource, leaseId, principal, reason } = ask;
  const ttlMs = Math.ceil(ask.ttlMs);
  return {
    ...{ resource, leaseId, principal, token, ttlMs, reason, writeId },
    createdUs: nowUs,
    expiresUs: nowUs + ttlMs * 1000,
    revision: token,
    isReleased: false,
    labels: JSON.stringify(ask.labels),
  };
}

export function itemOf(row: Row): Item {
  return {
    [KEY]: { S: row.resource },
    lease_id: { S: row.leaseId },
    principal: { S: row.principal },
    token: { N: String(row.token) },
    created_us: { N: String(row.createdUs) },
    expires_us: { N: String(row.expiresUs) },
    ttl_ms: { N: String(row.ttlMs) },
    revision: { N: String(row.revision) },
    released: { BOOL: row.isReleased },
    write_id: { S: row.writeId },
    reason: { S: row.reason },
    labels: { S: row.labels },
    [PRUNE_ATTRIBUTE]: { N: String(pruneAfterS(row.expiresUs, row.token)) },
  };
}

/** @throws LockError "unavailable" when the item is no lease */
export function rowOf(item: Item, place: string): Row {
  const text = (name: string): string => {
    const value = item[name]?.S;
    if (value === undefined) throw foreign(item, name, place);
    return value;
  };
  const whole = (name: string): bigint => {
    const value = item[name]?.N;
    if (value === undefined || !/^-?[0-9]+$/u.test(value)) throw foreign(item, name, place);
    return BigInt(value);
  };
  const isReleased = item["released"]?.BOOL;
  if (isReleased === undefined) throw foreign(item, "released", place);
  return {
    resource: text(KEY),
    leaseId: text("lease_id"),
    principal: text("principal"),
    token: whole("token"),
    createdUs: Number(whole("created_us")),
    expiresUs: Number(whole("expires_us")),
    ttlMs: Number(whole("ttl_ms")),
    revision: whole("revision"),
    isReleased,
    writeId: text("write_id"),
    reason: text("reason"),
    labels: text("labels"),
  };
}

/** The lease of a row. What remains of it is for its holder: without the slack. */
export function leaseOf(row: Row, nowUs: number): Lease {
  const { resource, leaseId, principal, token, ttlMs, revision, reason } = row;
  return {
    ...{ resource, leaseId, principal, token, ttlMs, revision, reason },
    remainingMs: Math.max(0, Math.floor((row.expiresUs - nowUs) / 1000)),
    createdAtUs: BigInt(row.createdUs),
    expiresAtUs: BigInt(row.expiresUs),
    labels: labelsIn(row.labels),
  };
}

function foreign(item: Item, attribute: string, place: string): LockError {
  const name = JSON.stringify(item[KEY]?.S ?? "");
  return new LockError(
    "unavailable",
    `the item ${name} in ${place} was not written by Stormlock (its ${attribute} is missing or of another kind): remove it, or name another table`,
  );
}
