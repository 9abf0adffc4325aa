// What somebody wants to hold, and what comes of it.

import type { HoldState } from "./belief.js";
import type { LockError } from "../errors.js";
import type { ReleaseOutcome } from "./farewell.js";
import type { Lease } from "../lease.js";

/** What somebody wants to hold. */
export interface HoldWish {
  readonly resource: string;
  readonly principal: string;
  /** Undefined means the server's default. */
  readonly ttlMs: number | undefined;
  /** Infinity means without limit. */
  readonly waitMs: number;
  readonly reason: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Gives the wait up. Once the lock is held it means nothing. */
  readonly signal?: AbortSignal;
  /**
   * Called when the place in the queue, or the holder, has changed. What it throws is thrown again
   * outside, as by an event's listener.
   */
  readonly onQueued?: (position: number, holder: Lease | undefined) => void;
  /** Whether it goes on although no daemon answers; one that has stood in a queue does so anyway. */
  readonly outlastsSilence?: boolean;
  /**
   * Called when nobody answers any more, and it goes on all the same: once until somebody does.
   * What it throws is thrown again outside.
   */
  readonly onSilence?: (error: LockError) => void;
}

export type HoldOutcome =
  | { readonly kind: "held"; readonly hold: Hold }
  /** Somebody else holds it, and there was no time to wait, or no more. */
  | { readonly kind: "denied"; readonly holder: Lease | undefined; readonly message: string };

export interface ReleaseOptions {
  /** Milliseconds to wait for the answer at the most; a few seconds when left out. */
  readonly patienceMs?: number;
}

/** A lock that is being kept. Disposing of it releases it. */
export interface Hold extends AsyncDisposable {
  readonly resource: string;
  readonly leaseId: string;
  /** The fencing token. */
  readonly token: bigint;
  readonly lease: Lease;
  readonly state: HoldState;
  /** Whether it is held now, by the clock and not by a timer. */
  readonly isHeld: boolean;
  /** On the clock of this process: until then nobody else holds the lock. Moves on as it is kept. */
  readonly deadlineMs: number;
  /** Aborts, with a LockError "lease-lost", when the lock is lost; never when it is released. */
  readonly signal: AbortSignal;
  /**
   * Calls back whenever the state or the deadline has changed; returns what ends that. What it
   * throws is thrown again outside, as by an event's listener: it stops no keeping.
   */
  watch(changed: () => void): () => void;
  /**
   * Ends belief at once, and the lease as soon as a daemon answers. "not-held": it had ended before
   * without a word, as when somebody has released it by its id, and others may have held the lock
   * since. "unknown": nobody has answered, or not to the first time that it was said.
   */
  release(options?: ReleaseOptions): Promise<ReleaseOutcome>;
  /** Ends belief and keeping at once, and releases nothing: the lease ends with its ttl. */
  abandon(): void;
}
