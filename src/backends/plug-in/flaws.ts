// What is wrong with what somebody else's backend gives, in words; undefined when nothing is.

import type { BackendTraits } from "../../lock/backend.js";
import type { Lease } from "../../lock/lease.js";

const MAY_HAVE = ["watch", "handOver"] as const;
const METHODS = ["acquire", "renew", "release", "current", "list", "check"] as const;

/** What keeps it from being a backend. */
export function backendFlaw(given: unknown): string | undefined {
  if (typeof given !== "object" || given === null) return "that is no object";
  const backend = given as Partial<Record<PropertyKey, unknown>>;
  const missing = METHODS.find((name) => typeof backend[name] !== "function");
  if (missing !== undefined) return `without a function ${missing}`;
  if (typeof backend[Symbol.asyncDispose] !== "function") {
    return "without a function Symbol.asyncDispose";
  }
  const odd = MAY_HAVE.find(
    (name) => backend[name] !== undefined && typeof backend[name] !== "function",
  );
  if (odd !== undefined) return `whose ${odd} is no function`;
  const traits = (backend["traits"] ?? {}) as Partial<BackendTraits>;
  for (const name of ["type", "place"] as const) {
    if (typeof traits[name] !== "string") return `whose traits.${name} is no text`;
  }
  if (!isAtLeast(traits.minTtlMs, Number.MIN_VALUE)) {
    return "whose traits.minTtlMs is no number above 0";
  }
  if (!isAtLeast(traits.takeoverSlackMs, 0)) return "whose traits.takeoverSlackMs is no number";
  if (traits.longestBatch !== undefined && !isAtLeast(traits.longestBatch, 1)) {
    return "whose traits.longestBatch is no number from 1 on";
  }
  return undefined;
}

function isAtLeast(given: unknown, least: number): boolean {
  return typeof given === "number" && given >= least;
}

export interface Ask {
  readonly resource: string;
  readonly leaseId: string;
}

// What a stranger gave, whatever its type says.
export type Loose = Readonly<Record<string, unknown>>;

export function looseOf(answer: unknown): Loose {
  return typeof answer === "object" && answer !== null ? (answer as Loose) : {};
}

export const UNKNOWN = "an answer of an unknown kind";

export function acquireFlaw(ask: Ask, answer: Loose): string | undefined {
  if (answer["kind"] === "granted") return leaseFlaw(answer["lease"], ask);
  if (answer["kind"] !== "held") return answer["kind"] === "spent" ? undefined : UNKNOWN;
  if (isLeaseOf(answer["holder"], ask.leaseId)) return "a lease that is refused to its holder";
  return leaseFlaw(answer["holder"], { resource: ask.resource });
}

export function releaseFlaw(_ask: Ask, { kind }: Loose): string | undefined {
  return kind === "released" || kind === "not-held" ? undefined : UNKNOWN;
}

function isLeaseOf(given: unknown, leaseId: string): boolean {
  return typeof given === "object" && given !== null && "leaseId" in given
    ? given.leaseId === leaseId
    : false;
}

export function leaseFlaw(given: unknown, expected: Partial<Ask>): string | undefined {
  if (typeof given !== "object" || given === null) return "no lease";
  const lease = given as Partial<Lease>;
  for (const name of ["token", "createdAtUs", "expiresAtUs", "revision"] as const) {
    if (typeof lease[name] !== "bigint") return `a lease whose ${name} is no bigint`;
  }
  for (const name of ["ttlMs", "remainingMs"] as const) {
    if (!Number.isFinite(lease[name])) return `a lease whose ${name} is no number`;
  }
  for (const name of ["resource", "leaseId", "principal", "reason"] as const) {
    if (typeof lease[name] !== "string") return `a lease whose ${name} is no text`;
  }
  if (typeof lease.labels !== "object") return "a lease whose labels are no object";
  if (expected.resource !== undefined && lease.resource !== expected.resource) {
    return "a lease of another resource";
  }
  if (expected.leaseId !== undefined && lease.leaseId !== expected.leaseId) {
    return "a lease with another id";
  }
  return undefined;
}
