// A manager over a store that is a model, on a clock that stands still until told to go on.

import type { RenewAsk } from "../../src/lock/backend.js";
import { LockError } from "../../src/lock/errors.js";
import type { Lease } from "../../src/lock/lease.js";
import {
  LockManager,
  type AcquireOutcome,
  type AcquireWish,
  type Granted,
} from "../../src/lock/daemon/manager.js";
import { Policy } from "../../src/lock/policy.js";
import { FakeClock } from "./fake-clock.js";
import { MemoryStore, type Faults, type MemoryBackend } from "./memory-backend.js";

export const RESOURCE = "deploy/prod";

export interface Daemon {
  readonly clock: FakeClock;
  readonly store: MemoryStore;
  readonly backend: MemoryBackend;
  readonly locks: LockManager;
}

/** A daemon; give it the store of another one, and they share it. */
export function startDaemon(
  options: {
    readonly store?: MemoryStore;
    readonly clock?: FakeClock;
    readonly faults?: Faults;
    readonly policy?: Policy;
    readonly maxWaiters?: number;
    /** Hints from the store never arrive. */
    readonly isDeaf?: boolean;
    /** Whether the store can release and acquire at once; it can when left out. */
    readonly canHandOver?: boolean;
  } = {},
): Daemon {
  const clock = options.clock ?? new FakeClock();
  const store = options.store ?? new MemoryStore(clock);
  const backend = store.open(options.faults);
  if (options.isDeaf === true) backend.watch = () => () => undefined;
  if (options.canHandOver === false) backend.handOver = undefined;
  const { policy = new Policy(), maxWaiters = 100_000 } = options;
  const backends = new Map([["default", backend]]);
  const locks = new LockManager({ clock, policy, backends, maxWaiters });
  return { clock, store, backend, locks };
}

export function wishFor(leaseId: string, more: Partial<AcquireWish> = {}): AcquireWish {
  return {
    ...{ resource: RESOURCE, leaseId, principal: `${leaseId}@host`, ttlMs: 10_000, waitMs: 0 },
    ...{ reason: "", labels: {} },
    ...more,
  };
}

/** A promise whose end can be looked at. */
export class Watched<T> {
  value: T | undefined;
  error: unknown;
  isSettled = false;

  constructor(promise: Promise<T>) {
    promise.then(
      (value) => {
        this.isSettled = true;
        this.value = value;
      },
      (error: unknown) => {
        this.isSettled = true;
        this.error = error;
      },
    );
  }

  /** The kind of what was returned or thrown; "open" while there is nothing. */
  get kind(): string {
    if (!this.isSettled) return "open";
    if (this.error !== undefined) {
      return this.error instanceof LockError ? this.error.kind : "thrown, but no LockError";
    }
    const value: unknown = this.value;
    if (typeof value === "object" && value !== null && "kind" in value) return String(value.kind);
    return String(value);
  }

  get message(): string {
    return this.error instanceof Error ? this.error.message : "";
  }
}

/** One caller of acquire. */
export class Caller extends Watched<AcquireOutcome> {
  readonly #leave: AbortController;
  readonly told: { readonly position: number; readonly holder: Lease | undefined }[];

  constructor(
    promise: Promise<AcquireOutcome>,
    leave: AbortController,
    told: { position: number; holder: Lease | undefined }[],
  ) {
    super(promise);
    this.#leave = leave;
    this.told = told;
  }

  leave(): void {
    this.#leave.abort();
  }

  get granted(): Granted {
    if (this.value?.kind !== "granted") throw new Error(`not granted, but ${this.kind}`);
    return this.value;
  }

  get holder(): Lease {
    if (this.value?.kind !== "held") throw new Error(`not held, but ${this.kind}`);
    return this.value.holder;
  }
}

/** Asks for a lock, and does not wait for the answer. */
export function ask(locks: LockManager, leaseId: string, more: Partial<AcquireWish> = {}): Caller {
  const leave = new AbortController();
  const told: { position: number; holder: Lease | undefined }[] = [];
  const promise = locks.acquire(wishFor(leaseId, more), {
    signal: leave.signal,
    onQueued: (position, holder) => told.push({ position, holder }),
  });
  return new Caller(promise, leave, told);
}

/** What a store was asked, as words: "acquire a,b". */
export function asked(backend: MemoryBackend, from = 0): string[] {
  return backend.calls
    .slice(from)
    .map(({ method, resources }) => `${method} ${resources.join(",")}`);
}

/** All that a store is asked to renew from now on. */
export function renewalsOf(backend: MemoryBackend): readonly RenewAsk[] {
  const seen: RenewAsk[] = [];
  const renew = backend.renew.bind(backend);
  backend.renew = (asks) => {
    seen.push(...asks);
    return renew(asks);
  };
  return seen;
}
