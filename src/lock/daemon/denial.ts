import { LockError, type ErrorKind } from "../errors.js";
import type { DenialReason } from "../hold.js";
import type { Lease } from "../lease.js";

/** The stream that asks for a resource has it already, or waits for it. */
export class AlreadyOnStream extends LockError {
  constructor(resource: string) {
    super(
      "invalid-field",
      `this stream holds or awaits ${resource} already; release it first, or use another stream`,
      { field: "resource" },
    );
  }
}

/** What a Hold stream is told of an error that stopped what it asked for. */
export function denialOf(error: LockError): {
  readonly reason: DenialReason;
  readonly message: string;
  readonly holder: Lease | undefined;
} {
  const { kind, message, holder } = error;
  const reason = error instanceof AlreadyOnStream ? "already-on-stream" : DENIAL_OF_KIND[kind];
  return { reason, message, holder };
}

const DENIAL_OF_KIND: Record<ErrorKind, DenialReason> = {
  "lock-held": "lock-held",
  "lease-lost": "lease-lost",
  "invalid-field": "invalid-field",
  "not-allowed": "not-allowed",
  unreachable: "unavailable",
  unavailable: "unavailable",
  overloaded: "unavailable",
  cancelled: "unavailable",
  "timed-out": "unavailable",
  internal: "unavailable",
};
