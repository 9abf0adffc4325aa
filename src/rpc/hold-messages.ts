// What is said on a Hold stream, between the domain's form and the API's.

import { create } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import {
  DenialReason as WireDenial,
  HoldRequestSchema,
  LossCause as WireCause,
  ReleaseOutcome,
  type Granted,
  type HeartbeatAck,
  type HoldRequest,
  type HoldResponse,
  type Lease as LeaseMessage,
  type Released,
} from "../gen/stormlock/v1/lock_pb.js";
import { LockError } from "../lock/errors.js";
import type { DaemonSays, DenialReason, HolderSays, LossCause } from "../lock/hold.js";
import type { Lease } from "../lock/lease.js";
import { durationOf, leaseFromMessage, leaseToMessage, optionalMs, wholeMs } from "./messages.js";

/** What a holder has sent. @throws LockError "invalid-field" when it says nothing */
export function holderSays({ kind }: HoldRequest): HolderSays {
  switch (kind.case) {
    case "acquire": {
      const { resource, leaseId, principal, ttl, wait, reason, labels } = kind.value;
      const waitMs = optionalMs(wait) ?? Infinity;
      const ttlMs = optionalMs(ttl);
      return { kind: "acquire", resource, leaseId, principal, ttlMs, waitMs, reason, labels };
    }
    case "resume":
    case "release": {
      const { resource, leaseId } = kind.value;
      return { kind: kind.case, resource, leaseId };
    }
    case "heartbeat":
      return { kind: "heartbeat", seq: exactSeq(kind.value.seq) };
    case undefined:
      throw new LockError("invalid-field", "the message says nothing: set one of its fields", {
        field: "kind",
      });
  }
}

// A holder who counts is far from it; who sends the time in nanoseconds must hear of it at once.
function exactSeq(seq: bigint): number {
  if (seq <= Number.MAX_SAFE_INTEGER) return Number(seq);
  throw new LockError(
    "invalid-field",
    `heartbeat ${String(seq)} is beyond ${String(Number.MAX_SAFE_INTEGER)}; count from 1`,
    { field: "seq" },
  );
}

export function holderMessage(says: HolderSays): HoldRequest {
  switch (says.kind) {
    case "acquire": {
      const { resource, leaseId, principal, ttlMs, waitMs, reason, labels } = says;
      const value = {
        ...{ resource, leaseId, principal, reason, labels: { ...labels } },
        ...(ttlMs === undefined ? {} : { ttl: durationOf("ttl", ttlMs) }),
        ...(waitMs === Infinity ? {} : { wait: durationFromMs(Math.ceil(waitMs)) }),
      };
      return create(HoldRequestSchema, { kind: { case: "acquire", value } });
    }
    case "resume":
    case "release": {
      const { kind, resource, leaseId } = says;
      return create(HoldRequestSchema, { kind: { case: kind, value: { resource, leaseId } } });
    }
    case "heartbeat": {
      const value = { seq: BigInt(says.seq) };
      return create(HoldRequestSchema, { kind: { case: "heartbeat", value } });
    }
  }
}

/** Spelt out, not made by `create`: it goes through the descriptor, at ten times the cost. */
export function daemonMessage(says: DaemonSays): HoldResponse {
  return { $typeName: "stormlock.v1.HoldResponse", kind: daemonKind(says) };
}

function daemonKind(says: DaemonSays): HoldResponse["kind"] {
  switch (says.kind) {
    case "queued": {
      const { resource, position, holder, ttlMs } = says;
      const value = {
        $typeName: "stormlock.v1.Queued" as const,
        resource,
        position,
        ...shown(holder),
      };
      return { case: "queued", value: { ...value, ttl: wholeMs(Math.floor(ttlMs)) } };
    }
    case "granted": {
      const { lease, seq, validForMs } = says;
      const value: Granted = {
        $typeName: "stormlock.v1.Granted",
        lease: leaseToMessage(lease, { withId: true }),
        seq: BigInt(seq),
        validFor: wholeMs(Math.floor(validForMs)),
      };
      return { case: "granted", value };
    }
    case "denied": {
      const { resource, leaseId, message, holder } = says;
      const reason = DENIALS[says.reason];
      const value = {
        $typeName: "stormlock.v1.Denied" as const,
        resource,
        leaseId,
        reason,
        message,
      };
      return { case: "denied", value: { ...value, ...shown(holder) } };
    }
    case "heartbeat-ack": {
      const value: HeartbeatAck = {
        $typeName: "stormlock.v1.HeartbeatAck",
        seq: BigInt(says.seq),
        validShare: says.validShare,
        behind: says.behind.map(({ leaseId, validForMs }) => ({
          ...{
            $typeName: "stormlock.v1.LeaseValidity",
            leaseId,
            validFor: wholeMs(Math.floor(validForMs)),
          },
        })),
      };
      return { case: "heartbeatAck", value };
    }
    case "lost": {
      const { resource, leaseId } = says;
      const cause = CAUSES[says.cause];
      return { case: "lost", value: { $typeName: "stormlock.v1.Lost", resource, leaseId, cause } };
    }
    case "released": {
      const { resource, leaseId } = says;
      const outcome =
        says.outcome === "released" ? ReleaseOutcome.RELEASED : ReleaseOutcome.NOT_HELD;
      const value: Released = { $typeName: "stormlock.v1.Released", resource, leaseId, outcome };
      return { case: "released", value };
    }
    case "draining": {
      const resumeWithin = wholeMs(Math.floor(says.resumeWithinMs));
      return { case: "draining", value: { $typeName: "stormlock.v1.Draining", resumeWithin } };
    }
  }
}

// Others are not to renew or release it.
function shown(holder: Lease | undefined): { readonly holder?: LeaseMessage } {
  return holder === undefined ? {} : { holder: leaseToMessage(holder, { withId: false }) };
}

/** What a daemon has sent; undefined when this client is too old to know it. */
export function daemonSays({ kind }: HoldResponse): DaemonSays | undefined {
  switch (kind.case) {
    case "queued": {
      const { resource, position, holder, ttl } = kind.value;
      const lease = holder === undefined ? undefined : leaseFromMessage(holder);
      return { kind: "queued", resource, position, holder: lease, ttlMs: optionalMs(ttl) ?? 0 };
    }
    case "granted": {
      const { lease, seq, validFor } = kind.value;
      if (lease === undefined || validFor === undefined) return undefined;
      const validForMs = durationMs(validFor);
      return { kind: "granted", lease: leaseFromMessage(lease), seq: Number(seq), validForMs };
    }
    case "denied": {
      const { resource, leaseId, message, holder } = kind.value;
      const lease = holder === undefined ? undefined : leaseFromMessage(holder);
      const reason = DENIAL_OF_WIRE.get(kind.value.reason) ?? "unavailable";
      return { kind: "denied", resource, leaseId, reason, message, holder: lease };
    }
    case "heartbeatAck": {
      const behind = kind.value.behind.map(({ leaseId, validFor }) => ({
        leaseId,
        validForMs: optionalMs(validFor) ?? 0,
      }));
      const { seq, validShare } = kind.value;
      return { kind: "heartbeat-ack", seq: Number(seq), validShare, behind };
    }
    case "lost": {
      const { resource, leaseId, cause } = kind.value;
      return { kind: "lost", resource, leaseId, cause: CAUSE_OF_WIRE.get(cause) ?? "not-held" };
    }
    case "released": {
      const { resource, leaseId } = kind.value;
      const isReleased = kind.value.outcome === ReleaseOutcome.RELEASED;
      return { kind: "released", resource, leaseId, outcome: isReleased ? "released" : "not-held" };
    }
    case "draining": {
      const { resumeWithin } = kind.value;
      return { kind: "draining", resumeWithinMs: optionalMs(resumeWithin) ?? 0 };
    }
    case undefined:
      return undefined;
  }
}

const DENIALS: Record<DenialReason, WireDenial> = {
  "lock-held": WireDenial.LOCK_HELD,
  "lease-lost": WireDenial.LEASE_LOST,
  "invalid-field": WireDenial.INVALID_FIELD,
  "not-allowed": WireDenial.NOT_ALLOWED,
  unavailable: WireDenial.UNAVAILABLE,
  "already-on-stream": WireDenial.ALREADY_ON_STREAM,
};

const CAUSES: Record<LossCause, WireCause> = {
  "not-held": WireCause.NOT_HELD,
  expired: WireCause.EXPIRED,
  "resumed-elsewhere": WireCause.RESUMED_ELSEWHERE,
};

const DENIAL_OF_WIRE = inverse(DENIALS);
const CAUSE_OF_WIRE = inverse(CAUSES);

function inverse<Word extends string, Wire>(words: Record<Word, Wire>): ReadonlyMap<Wire, Word> {
  return new Map((Object.entries(words) as [Word, Wire][]).map(([word, wire]) => [wire, word]));
}
