// What a client is asked for, and what it answers.

import type { Clock } from "../lock/clock.js";
import type { LockError } from "../lock/errors.js";
import type { Hold } from "../lock/holder/holding.js";
import type { Lease } from "../lock/lease.js";
import type { Transport, UnaryTransport } from "./transport.js";

/** A lease, and until when its holder may believe in it. */
export interface HeldLease {
  readonly lease: Lease;
  /**
   * On the client's monotonic clock, in milliseconds: from then on somebody else may hold the
   * lock. Renew before.
   */
  readonly deadlineMs: number;
}

export type AcquireResult =
  | ({ readonly kind: "granted" } & HeldLease)
  /** Somebody else holds it; `message` says who, since when and why. */
  | { readonly kind: "held"; readonly holder: Lease | undefined; readonly message: string };

export interface ListOptions {
  /** Gives up. */
  readonly signal?: AbortSignal;
  /**
   * Called for a resource that has something in the store which cannot be read, because another
   * program has put it there; `message` says what to do. When left out, the list ends with an
   * error that says so, after all that can be read.
   */
  readonly onUnreadable?: (resource: string, message: string) => void;
}

export type RenewResult =
  ({ readonly kind: "renewed" } & HeldLease) | { readonly kind: "lost"; readonly message: string };

export interface AcquireOptions {
  /** Milliseconds the lease lives unless renewed; the server's default when left out. */
  readonly ttlMs?: number;
  /** Milliseconds to stand in the queue at the most; 0, the default, is not to wait. */
  readonly waitMs?: number;
  /** Your own lease id of at least 128 random bits, used once; made for you when left out. */
  readonly leaseId?: string;
  /** Who asks; the client's when left out. */
  readonly principal?: string;
  readonly reason?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Gives up, leaves the queue, and releases what may have been granted. */
  readonly signal?: AbortSignal;
}

export interface HoldOptions {
  /** Milliseconds the lease lives after the last heartbeat; the server's default when left out. */
  readonly ttlMs?: number;
  /** Milliseconds to stand in the queue at the most; without limit when left out. */
  readonly waitMs?: number;
  /** Who asks; the client's when left out. */
  readonly principal?: string;
  readonly reason?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Gives the wait up. Once the lock is held it means nothing: release it instead. */
  readonly signal?: AbortSignal;
  /**
   * Called when the place in the queue, or the holder, has changed; at most once a second. Without a
   * holder it is not known who that is: the lock is just free, or the store does not answer. What it
   * throws is thrown again outside, as by an event's listener.
   */
  readonly onQueued?: (position: number, holder: Lease | undefined) => void;
  /**
   * Whether to go on for as long as the wait lasts although no daemon answers. One that has stood in
   * a queue does so anyway; one that no daemon has answered yet is given up when the client's
   * patience ends, unless this is set.
   */
  readonly outlastsSilence?: boolean;
  /**
   * Called when nobody has answered for as long as the client's patience, and the wait goes on all
   * the same: once until somebody answers again. What it throws is thrown again outside.
   */
  readonly onSilence?: (error: LockError) => void;
}

export type HoldResult =
  /** It is held, and kept until `hold` is disposed of or lost. */
  | { readonly kind: "granted"; readonly hold: Hold }
  /** Somebody else holds it, and there was no time to wait, or no more. */
  | { readonly kind: "held"; readonly holder: Lease | undefined; readonly message: string };

export interface UnaryClientOptions {
  /** The ways to the daemons, in the order of preference. */
  readonly transports: readonly UnaryTransport[];
  readonly clock: Clock;
  /** From 0 up to 1, below it; Math.random unless given. */
  readonly random?: () => number;
  /** Makes lease ids, of at least 128 random bits; Node's own cryptography does unless given. */
  readonly newLeaseId?: () => string;
  /** Who asks, unless an acquire says otherwise. */
  readonly principal?: string;
  /**
   * How long to go on asking when there is no definite answer; 10 s by default. A hold that stands
   * in a queue has the patience of its wait.
   */
  readonly patienceMs?: number;
}

/** As UnaryClientOptions, over transports that can carry a Hold stream as well. */
export interface LockClientOptions extends UnaryClientOptions {
  readonly transports: readonly Transport[];
}
