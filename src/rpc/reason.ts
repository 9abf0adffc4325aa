// The words by which programs know what stopped them, and the codes that go with them.

import type { ErrorKind } from "../lock/errors.js";
import { Code } from "./code.js";

/** Whose words the reasons are. */
export const ERROR_DOMAIN = "stormlock";

export interface Wire {
  readonly code: number;
  /** The stable word in ErrorInfo. */
  readonly reason: string;
}

// A definite kind has a code that no gRPC library makes up by itself. Does not compile until
// a new kind is in it.
const WIRE: Record<ErrorKind, Wire> = {
  "lock-held": { code: Code.ALREADY_EXISTS, reason: "LOCK_HELD" },
  "lease-lost": { code: Code.NOT_FOUND, reason: "LEASE_LOST" },
  "invalid-field": { code: Code.INVALID_ARGUMENT, reason: "INVALID_FIELD" },
  "not-allowed": { code: Code.PERMISSION_DENIED, reason: "NOT_ALLOWED" },
  unreachable: { code: Code.UNAVAILABLE, reason: "UNREACHABLE" },
  unavailable: { code: Code.UNAVAILABLE, reason: "UNAVAILABLE" },
  overloaded: { code: Code.UNAVAILABLE, reason: "OVERLOADED" },
  cancelled: { code: Code.CANCELLED, reason: "CANCELLED" },
  "timed-out": { code: Code.DEADLINE_EXCEEDED, reason: "TIMED_OUT" },
  internal: { code: Code.INTERNAL, reason: "INTERNAL" },
};

const KIND_OF_REASON = new Map(
  (Object.entries(WIRE) as [ErrorKind, Wire][]).map(([kind, { reason }]) => [reason, kind]),
);

/** How a kind of error crosses a wire. */
export function wireOf(kind: ErrorKind): Wire {
  return WIRE[kind];
}

/** What a reason means; undefined when it is nobody's here. */
export function kindOfReason(reason: string): ErrorKind | undefined {
  return KIND_OF_REASON.get(reason);
}
