// Leases and durations between the domain's form and the API's. Without the library that encodes
// messages: a command that asks in JSON does not load it.

import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";
import type { Lease as LeaseMessage, ReleaseOutcome } from "../gen/stormlock/v1/lock_pb.js";
import { LockError } from "../lock/errors.js";
import type { Lease } from "../lock/lease.js";

// By their numbers: the enum itself would bring that library along.
/* eslint-disable @typescript-eslint/no-unsafe-enum-assignment -- the same numbers */
export const RELEASED: ReleaseOutcome.RELEASED = 1;
export const NOT_HELD: ReleaseOutcome.NOT_HELD = 2;
/* eslint-enable @typescript-eslint/no-unsafe-enum-assignment */

export interface LeaseView {
  /** Whether the reader may know the lease's id. */
  readonly withId: boolean;
  /** What is certainly left now, when that is less than when the store answered. */
  readonly validForMs?: number;
}

export function leaseToMessage(lease: Lease, view: LeaseView): LeaseMessage {
  // Spelt out: `create` goes through the descriptor for it, at ten times the cost.
  return {
    $typeName: "stormlock.v1.Lease",
    resource: lease.resource,
    leaseId: view.withId ? lease.leaseId : "",
    principal: lease.principal,
    fencingToken: lease.token,
    createTime: timestampFromUs(lease.createdAtUs),
    expireTime: timestampFromUs(lease.expiresAtUs),
    ttl: wholeMs(lease.ttlMs),
    validFor: wholeMs(Math.max(0, Math.floor(view.validForMs ?? lease.remainingMs))),
    reason: lease.reason,
    labels: { ...lease.labels },
  };
}

export function leaseFromMessage(message: LeaseMessage): Lease {
  return {
    resource: message.resource,
    leaseId: message.leaseId,
    principal: message.principal,
    token: message.fencingToken,
    ttlMs: optionalMs(message.ttl) ?? 0,
    remainingMs: optionalMs(message.validFor) ?? 0,
    createdAtUs: timestampUs(message.createTime),
    expiresAtUs: timestampUs(message.expireTime),
    revision: 0n,
    reason: message.reason,
    labels: message.labels,
  };
}

/** A duration as the API has it: of whole milliseconds. @throws LockError "invalid-field" */
export function durationOf(field: string, ms: number): Duration {
  if (Number.isFinite(ms)) return wholeMs(Math.round(ms));
  throw new LockError("invalid-field", `${field} ${String(ms)}ms is no duration`, { field });
}

/** Milliseconds of a duration; undefined stays what it is. */
export function optionalMs(duration: Duration | undefined): number | undefined {
  if (duration === undefined) return undefined;
  return Number(duration.seconds) * 1000 + Math.round(duration.nanos / 1_000_000);
}

export function wholeMs(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  const nanos = (ms - seconds * 1000) * 1_000_000;
  return { $typeName: "google.protobuf.Duration", seconds: BigInt(seconds), nanos };
}

function timestampFromUs(us: bigint): Timestamp {
  const seconds = us / 1_000_000n;
  const nanos = Number(us - seconds * 1_000_000n) * 1000;
  return { $typeName: "google.protobuf.Timestamp", seconds, nanos };
}

function timestampUs(timestamp: Timestamp | undefined): bigint {
  if (timestamp === undefined) return 0n;
  return timestamp.seconds * 1_000_000n + BigInt(Math.floor(timestamp.nanos / 1000));
}
