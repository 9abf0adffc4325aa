// What callers are told who cannot have what they ask for, in one place: the same words at every door.

import { LockError } from "./errors.js";
import { withoutId, type Lease } from "./lease.js";

/** What a caller is told who finds a resource held. */
export function heldError(resource: string, holder: Lease): LockError {
  const since = new Date(Number(holder.createdAtUs / 1000n)).toISOString();
  const why = holder.reason === "" ? "" : ` (${holder.reason})`;
  return new LockError(
    "lock-held",
    `${resource} is held by ${holder.principal} since ${since}${why}`,
    { holder: withoutId(holder) },
  );
}

/** What a caller is told whose lease is not, or no longer, the one that holds. */
export function lostError(resource: string): LockError {
  return new LockError(
    "lease-lost",
    `this lease does not hold ${resource}: it has expired, was released, or never was; acquire with a new lease id`,
  );
}

/** What is said of a caller who has gone. */
export function goneError(resource: string): LockError {
  return new LockError("cancelled", `the caller stopped waiting for ${resource}`);
}

/** What a caller is told who finds too many who wait. */
export function crowdedError(limit: number): LockError {
  return new LockError(
    "overloaded",
    `${String(limit)} callers wait already, which is the limit; ask again later`,
  );
}

/** What a caller is told who comes when more is asked than can be answered. */
export function overloadedError(): LockError {
  return new LockError(
    "overloaded",
    "this daemon has more acquires to answer than it can: nothing was done; ask again in a second, or ask another daemon",
  );
}

/** What a caller is told by a daemon that is about to stop. */
export function stoppingError(): LockError {
  return new LockError("unavailable", "this daemon is about to stop; ask another, or again");
}
