// What the values of our keys say.

import { labelsOf } from "../../lock/labels.js";
import type { Lease } from "../../lock/lease.js";
import type { KeyValue } from "./calls.js";
import { EtcdFault } from "./faults.js";

/** What its holder has said of a lock. */
interface Said {
  readonly resource: string;
  readonly leaseId: string;
  readonly principal: string;
  readonly reason: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** A lock that is held. */
export interface HeldValue extends Said {
  /** The lease's own ttl. */
  readonly ttlS: number;
  /** That of the etcd lease that carries it: longer after a renewal for less. */
  readonly grantedS: number;
  readonly createdAtUs: bigint;
  /** Until when, by some client's wall clock, its id is remembered in any case. */
  readonly keptUntilMs: number;
}

export interface HeldRow {
  readonly value: HeldValue;
  readonly etcdLease: string;
  /** When the key was made: nobody else ever holds with this token. */
  readonly token: bigint;
  readonly revision: bigint;
}

/** A resource's last lease, over or not. */
export interface LastRow {
  readonly leaseId: string;
  readonly keptUntilMs: number;
  readonly revision: bigint;
}

/** All that the store knows of a resource. */
export interface Row {
  readonly held: HeldRow | undefined;
  readonly last: LastRow | undefined;
}

export function heldText(value: HeldValue): Buffer {
  const { resource, leaseId, principal, reason, labels, ttlS, grantedS, keptUntilMs } = value;
  const createdAtUs = String(value.createdAtUs);
  const row = { resource, leaseId, principal, reason, labels, ttlS, grantedS };
  return Buffer.from(JSON.stringify({ ...row, createdAtUs, keptUntilMs }));
}

export function lastText(leaseId: string, keptUntilMs: number): Buffer {
  return Buffer.from(JSON.stringify({ leaseId, keptUntilMs }));
}

/** @throws EtcdFault "foreign" when it is not ours */
export function heldRow(found: KeyValue, resource: string): HeldRow;
export function heldRow(found: KeyValue | undefined, resource: string): HeldRow | undefined;
export function heldRow(found: KeyValue | undefined, resource: string): HeldRow | undefined {
  if (found === undefined) return undefined;
  const value = objectIn(found);
  const { leaseId, principal, reason, labels, ttlS, grantedS } = value;
  const isOurs =
    value["resource"] === resource &&
    [leaseId, principal, reason].every((each) => typeof each === "string") &&
    [ttlS, grantedS].every((each) => typeof each === "number") &&
    areLabels(labels) &&
    found.lease !== "0";
  if (!isOurs) throw foreign(found);
  return {
    value: { ...(value as unknown as HeldValue), createdAtUs: microseconds(value["createdAtUs"]) },
    etcdLease: found.lease,
    token: BigInt(found.create_revision),
    revision: BigInt(found.mod_revision),
  };
}

/** @throws EtcdFault "foreign" when it is not ours */
export function lastRow(found: KeyValue | undefined): LastRow | undefined {
  if (found === undefined) return undefined;
  const { leaseId, keptUntilMs } = objectIn(found);
  if (typeof leaseId !== "string" || typeof keptUntilMs !== "number") throw foreign(found);
  return { leaseId, keptUntilMs, revision: BigInt(found.mod_revision) };
}

/** The lease of a row that has so much left. */
export function toLease(row: HeldRow, remainingMs: number, wallMs: number): Lease {
  const { resource, leaseId, principal, reason, labels, ttlS, createdAtUs } = row.value;
  return {
    ...{ resource, leaseId, principal, reason, labels, createdAtUs },
    token: row.token,
    revision: row.revision,
    ttlMs: ttlS * 1000,
    remainingMs,
    expiresAtUs: BigInt(Math.floor((wallMs + remainingMs) * 1000)),
  };
}

function objectIn(found: KeyValue): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(found.value.toString());
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw foreign(found);
}

function areLabels(given: unknown): boolean {
  try {
    return labelsOf(given) === given;
  } catch {
    return false;
  }
}

function microseconds(value: unknown): bigint {
  return typeof value === "string" && /^[0-9]+$/u.test(value) ? BigInt(value) : 0n;
}

function foreign(found: KeyValue): EtcdFault {
  return new EtcdFault("foreign", JSON.stringify(found.key.toString()));
}
