// The port behind which the stores are. A backend keeps leases and answers questions about
// them, in batches; it never decides policy.
//
//   B1. At any moment of the store's history at most one unexpired lease exists per resource.
//   B2. Tokens grow: max(last token + 1, the store's wall clock in µs), decided where nobody
//       else can decide at the same time (under the row's lock, inside the script), and
//       remembered after release and expiry.
//   B3. Expiry is decided by the store's clock, and never moves to an earlier time except by
//       release.
//   B4. Every write acts on exactly (resource, lease id). What has ended stays ended: the id
//       of a resource's last lease is remembered, so that a delayed duplicate of its acquire
//       is answered "spent", not granted.
//   B5. A lost answer is no failure: asking again with the same lease id finds the lease.
//   B6. An answer other than "failed" is true and durable when it is given.
//   B7. A call never names a resource twice; calls may overlap, but two that write never for one
//       resource. Who only looks may come at any time.
//   B8. A call settles within the backend's own time limit, whatever the store does. It
//       rejects only when every one of its questions failed.
//   B9. Names are any UTF-8 of 1-200 bytes, and no two of them meet.
//
// src/conformance.ts is the same contract as a test suite.

import type { LockError } from "./errors.js";
import type { Lease } from "./lease.js";

/** One question could not be answered: it may or may not have been carried out. */
export interface Failed {
  readonly kind: "failed";
  readonly error: LockError;
}

export interface AcquireAsk {
  readonly resource: string;
  readonly leaseId: string;
  readonly principal: string;
  readonly ttlMs: number;
  readonly reason: string;
  readonly labels: Readonly<Record<string, string>>;
}

export type AcquireAnswer =
  /** `created` is false when this lease id held the resource already (B5); the lease has
   *  then been extended to the asked ttl from now, its token, principal, reason and
   *  labels being what they were. */
  | { readonly kind: "granted"; readonly lease: Lease; readonly created: boolean }
  | { readonly kind: "held"; readonly holder: Lease }
  /** The id is that of the resource's last lease, which has ended (B4). */
  | { readonly kind: "spent" }
  | Failed;

export interface RenewAsk {
  readonly resource: string;
  readonly leaseId: string;
  /** The ttl from now on; undefined keeps the lease's own. */
  readonly ttlMs: number | undefined;
  /**
   * How long ago the sign of life came that this renewal rests on, in whole ms, rounded up; 0 when
   * left out. The end
   * becomes max(what it was, now + ttl - ageMs), so that a renewal which succeeds late gives no
   * more than one that succeeded at once. A store that renews whole ttls only may ignore it.
   */
  readonly ageMs?: number;
  /**
   * For how many ms the lease is still its holder's in any case, as far as whoever asks knows; left
   * out when he does not. A store that does one thing after the other renews first what has least
   * left: after an outage that may be what is kept and what is not.
   */
  readonly validForMs?: number | undefined;
}

export type RenewAnswer =
  { readonly kind: "renewed"; readonly lease: Lease } | { readonly kind: "lost" } | Failed;

export interface ReleaseAsk {
  readonly resource: string;
  readonly leaseId: string;
  /** Release only if the lease still has this revision: nobody has touched it since. */
  readonly ifRevision?: bigint;
}

export type ReleaseAnswer = { readonly kind: "released" } | { readonly kind: "not-held" } | Failed;

/** The end of one lease and the beginning of the next, of one resource. */
export interface HandOverAsk {
  readonly release: ReleaseAsk;
  readonly acquire: AcquireAsk;
}

export type HandOverAnswer =
  | {
      readonly kind: "asked";
      readonly release: ReleaseAnswer;
      readonly acquire: AcquireAnswer;
    }
  | Failed;

/** Who holds a resource, if anybody does. */
export type CurrentAnswer = Lease | undefined | Failed;

/** A resource that has something in the store which cannot be read: another program has put it there. */
export interface Unreadable extends Failed {
  readonly resource: string;
}

/** What a list has of one resource. */
export type ListAnswer = Lease | Unreadable;

export interface ListAsk {
  /** Only resources that begin so. */
  readonly prefix: string;
  /** Only resources that come after this one in the order of their bytes. */
  readonly after: string | undefined;
  /** How many at the most; at least 1. */
  readonly limit: number;
}

/** What a backend is, for policy and for messages. */
export interface BackendTraits {
  /** The type's name, e.g. "sqlite". */
  readonly type: string;
  /** Where it is, for messages and readiness: an address or a path, never a secret. */
  readonly place: string;
  /** The shortest ttl that the store can keep. */
  readonly minTtlMs: number;
  /** How long after a lease's end the store may go on refusing others. */
  readonly takeoverSlackMs: number;
  /**
   * How many questions a call of acquire, renew or release may have at the most; 1000 when left
   * out. 1 suits a store to which every question is a request of its own: nobody's answer then
   * waits for the slowest one of many.
   */
  readonly longestBatch?: number;
}

export interface Backend extends AsyncDisposable {
  readonly traits: BackendTraits;

  /**
   * What should be changed although the store can be used, one line each, as `check` last found
   * it. A daemon logs each once.
   */
  readonly warnings?: readonly string[];

  /** Grants what is free. Answers are in the order of the questions, here and below. */
  acquire(asks: readonly AcquireAsk[]): Promise<readonly AcquireAnswer[]>;

  /** Extends what is held: the end becomes max(what it was, now + ttl). */
  renew(asks: readonly RenewAsk[]): Promise<readonly RenewAnswer[]>;

  /** Ends what is held. The token is kept (B2). */
  release(asks: readonly ReleaseAsk[]): Promise<readonly ReleaseAnswer[]>;

  /**
   * Releases, and acquires for whoever is next: what the two calls would do and answer one after
   * the other, without one waiting for the other's answer. Where both are one step of the store
   * the resource was never free, and no hint need tell of it. Left out where it gains nothing.
   */
  readonly handOver?:
    ((asks: readonly HandOverAsk[]) => Promise<readonly HandOverAnswer[]>) | undefined;

  /**
   * Who holds these resources now. What cannot be read of one says nothing of the others.
   * @throws LockError "unavailable"
   */
  current(resources: readonly string[]): Promise<readonly CurrentAnswer[]>;

  /**
   * One page of the leases that are held now, ordered by the bytes of their resources. What cannot
   * be read of one is told in its place, and hides none of the others.
   * A page shorter than the limit is the last.
   * @throws LockError "unavailable"
   */
  list(ask: ListAsk): Promise<readonly ListAnswer[]>;

  /**
   * Tells, until the returned function is called, when a resource may have become free by
   * another process's doing; undefined means "any may have". A hint that wakes waiters,
   * never trusted: it may be late, wrong or lost.
   */
  watch?(mayBeFree: (resource: string | undefined) => void): () => void;

  /**
   * Whether the store can be used.
   * @throws LockError "unavailable" with one line that says what is wrong and what to do
   */
  check(): Promise<void>;
}
