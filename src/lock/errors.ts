import type { Lease } from "./lease.js";

/**
 * What can stop a caller. The first group is definite: it is true, and asking again
 * changes nothing by itself. The second means "unknown": what was asked may or may not
 * have been done, and asking again with the same lease id is safe.
 */
export type ErrorKind =
  // definite
  | "lock-held"
  | "lease-lost"
  | "invalid-field"
  | "not-allowed"
  // unknown; "unreachable" is certain never to have arrived anywhere, and "overloaded" to have been
  // refused before anything was done
  | "unreachable"
  | "unavailable"
  | "overloaded"
  | "cancelled"
  | "timed-out"
  | "internal";

const DEFINITE: ReadonlySet<ErrorKind> = new Set<ErrorKind>([
  "lock-held",
  "lease-lost",
  "invalid-field",
  "not-allowed",
]);

export interface LockErrorDetails {
  /** The field that is wrong, with "invalid-field". */
  readonly field?: string;
  /** Who holds the resource, with "lock-held", where that is known. */
  readonly holder?: Lease;
  readonly cause?: unknown;
}

/** Whatever stops a caller, in words that say what, which value, and what to do. */
export class LockError extends Error {
  override readonly name = "LockError";
  readonly kind: ErrorKind;
  readonly field: string | undefined;
  readonly holder: Lease | undefined;

  constructor(kind: ErrorKind, message: string, details: LockErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.field = details.field;
    this.holder = details.holder;
  }

  /** Whether the answer is known to be true; otherwise ask again with the same lease id. */
  get isDefinite(): boolean {
    return DEFINITE.has(this.kind);
  }
}

/** Makes a LockError of whatever was thrown; what is one already stays as it is. */
export function asLockError(thrown: unknown, kind: ErrorKind = "internal"): LockError {
  if (thrown instanceof LockError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new LockError(kind, message, { cause: thrown });
}
