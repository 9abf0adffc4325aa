import type { AcquireAsk, Backend } from "../backend.js";
import type { RenewWish } from "./batcher.js";
import type { Clock } from "../clock.js";
import type { DepartureSignal } from "../departure.js";
import { LockError } from "../errors.js";
import type { Lease } from "../lease.js";
import {
  checkLabels,
  checkLeaseId,
  checkPrincipal,
  checkReason,
  checkResource,
  checkTtl,
  checkWait,
} from "../limits.js";
import { listPage, type ListPage, type ListQuery } from "./listing.js";
import type { Policy } from "../policy.js";
import type { AcquireOutcome, Granted, Waiter } from "./queue.js";
import { crowdedError, goneError, stoppingError } from "../refusals.js";
import { Store } from "./store.js";

export type { AcquireOutcome, Granted } from "./queue.js";

/** What an acquire asks for. */
export interface AcquireWish {
  readonly resource: string;
  readonly leaseId: string;
  /** Empty means the policy's default. */
  readonly principal: string;
  /** Undefined means the policy's default. */
  readonly ttlMs: number | undefined;
  /** How long to wait at the most; 0 is not at all, Infinity as long as the caller stays. */
  readonly waitMs: number;
  readonly reason: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface AcquireOptions {
  /** Aborts when the caller has gone. */
  readonly signal: DepartureSignal;
  /**
   * Called when the place in the queue, or the holder, has changed; at most once a second. Tells
   * the ttl that the lease will have, too.
   */
  readonly onQueued?: (position: number, holder: Lease | undefined, ttlMs: number) => void;
}

/** Which lease of which resource. */
export interface LeaseName {
  readonly resource: string;
  readonly leaseId: string;
}

export interface LockManagerOptions {
  readonly clock: Clock;
  readonly policy: Policy;
  /** By the names that the policy's rules use. */
  readonly backends: ReadonlyMap<string, Backend>;
  /** How many may wait at the same time, over all resources. */
  readonly maxWaiters?: number;
}

// A waiter costs about a kilobyte; beyond this many somebody is not asking for locks.
const MAX_WAITERS = 100_000;

/** Decides who gets what: checks limits and policy, keeps the queues, asks the stores. */
export class LockManager {
  readonly clock: Clock;
  readonly #policy: Policy;
  readonly #stores = new Map<string, Store>();
  readonly #maxWaiters: number;
  #waiters = 0;
  #closed: LockError | undefined;

  constructor({ clock, policy, backends, maxWaiters = MAX_WAITERS }: LockManagerOptions) {
    this.clock = clock;
    this.#policy = policy;
    this.#maxWaiters = maxWaiters;
    for (const [name, backend] of backends) this.#stores.set(name, new Store(backend, clock));
  }

  /** How many callers wait for an answer to an acquire. */
  get waiters(): number {
    return this.#waiters;
  }

  /** How many resources something is under way for. */
  get busyResources(): number {
    let count = 0;
    for (const store of this.#stores.values()) count += store.resources;
    return count;
  }

  /**
   * Takes a lock, waiting in line for it where that is wished.
   * @throws LockError when a field is wrong, the caller has gone, or the store has not answered
   */
  acquire(wish: AcquireWish, { signal, onQueued }: AcquireOptions): Promise<AcquireOutcome> {
    return new Promise((resolve, reject) => {
      const { store, ask } = this.#check(wish);
      const waitMs = checkWait(wish.waitMs);
      if (signal.aborted) throw goneError(ask.resource);
      if (this.#closed !== undefined) throw this.#closed;
      if (this.#waiters >= this.#maxWaiters) throw crowdedError(this.#maxWaiters);

      const line = store.line(ask.resource);
      const end = (): void => {
        this.#waiters -= 1;
        stopWaiting();
        signal.removeEventListener("abort", onGone);
      };
      const waiter: Waiter = {
        ask,
        settle: (outcome) => {
          end();
          resolve(outcome);
        },
        fail: (error) => {
          end();
          reject(error);
        },
        onQueued: (position, holder) => onQueued?.(position, holder, ask.ttlMs),
      };
      const onGone = (): void => {
        line.leave(waiter);
        waiter.fail(goneError(ask.resource));
      };
      // Who does not wait at all needs no alarm, and `after` sets none for who waits for ever.
      const stopWaiting =
        waitMs === 0
          ? noTimer
          : this.clock.after(waitMs, () => {
              line.hurry(waiter);
            });
      this.#waiters += 1;
      signal.addEventListener("abort", onGone, { once: true });
      line.join(waiter, waitMs === 0);
    });
  }

  /**
   * Extends a lease.
   * @throws LockError when a field is wrong or the store has not answered
   */
  async renew(
    name: LeaseName & { readonly ttlMs: number | undefined },
  ): Promise<Granted | { readonly kind: "lost" }> {
    const resource = checkResource(name.resource);
    const leaseId = checkLeaseId(name.leaseId);
    const { store, rule } = this.#storeOf(resource);
    const { minTtlMs } = store.backend.traits;
    const ttlMs =
      name.ttlMs === undefined ? undefined : checkTtl(name.ttlMs, rule, minTtlMs, resource);
    const signOfLifeAtMs = this.clock.monotonicMs();
    return this.keep({ resource, leaseId, ttlMs, signOfLifeAtMs });
  }

  /**
   * Extends a lease that was checked when it was granted, whatever the policy says by now.
   * @throws LockError when the store has not answered
   */
  async keep(wish: RenewWish): Promise<Granted | { readonly kind: "lost" }> {
    const { store } = this.#storeOf(wish.resource);
    const answer = await store.line(wish.resource).renew(wish);
    switch (answer.kind) {
      case "renewed": {
        const { lease, askedAtMs } = answer;
        return { kind: "granted", lease, askedAtMs, created: false };
      }
      case "lost":
        return answer;
      case "failed":
        throw answer.error;
    }
  }

  /** Ends a lease that was granted to a caller who had gone by then, unless somebody has touched
   *  it since. Best effort: otherwise it lives out its ttl. */
  async takeBack({ lease, created }: Granted): Promise<void> {
    if (!created) return;
    const { resource, leaseId, revision } = lease;
    const { store } = this.#storeOf(resource);
    await store.line(resource).release({ resource, leaseId, ifRevision: revision });
  }

  /**
   * Ends a lease.
   * @throws LockError when a field is wrong or the store has not answered
   */
  async release(name: LeaseName): Promise<"released" | "not-held"> {
    const resource = checkResource(name.resource);
    const leaseId = checkLeaseId(name.leaseId);
    const answer = await this.#storeOf(resource)
      .store.line(resource)
      .release({ resource, leaseId });
    if (answer.kind === "failed") throw answer.error;
    return answer.kind;
  }

  /**
   * Who holds a resource now.
   * @throws LockError when the name is wrong or the store has not answered
   */
  async current(name: string): Promise<Lease | undefined> {
    const resource = checkResource(name);
    return this.#storeOf(resource).store.batcher.current(resource);
  }

  /**
   * Whether this very lease holds its resource now.
   * @throws LockError when a field is wrong or the store has not answered
   */
  async isHeld(name: LeaseName): Promise<boolean> {
    const leaseId = checkLeaseId(name.leaseId);
    return (await this.current(name.resource))?.leaseId === leaseId;
  }

  /**
   * One page of the leases that are held, over all backends.
   * @throws LockError when the query is wrong, a store has not answered, or the caller has gone
   */
  list(query: ListQuery, signal?: DepartureSignal): Promise<ListPage> {
    const isAtHome = (backend: string, resource: string): boolean =>
      this.#policy.for(resource).backend === backend;
    const backends = new Map([...this.#stores].map(([name, { backend }]) => [name, backend]));
    return listPage(backends, isAtHome, query, signal);
  }

  /**
   * Takes no more acquires, and tells all who wait that they must ask elsewhere. Renewals and
   * releases go on: nothing is released, nothing is lost.
   */
  drain(): void {
    this.#closed ??= stoppingError();
    for (const store of this.#stores.values()) {
      for (const line of [...store.lines]) line.failAll(this.#closed);
    }
  }

  #check(wish: AcquireWish): { readonly store: Store; readonly ask: AcquireAsk } {
    const resource = checkResource(wish.resource);
    const { store, rule } = this.#storeOf(resource);
    const principal = wish.principal === "" ? rule.principal : wish.principal;
    const ask: AcquireAsk = {
      resource,
      leaseId: checkLeaseId(wish.leaseId),
      principal: checkPrincipal(principal),
      ttlMs: checkTtl(wish.ttlMs, rule, store.backend.traits.minTtlMs, resource),
      reason: checkReason(wish.reason),
      labels: checkLabels(wish.labels),
    };
    return { store, ask };
  }

  #storeOf(resource: string): {
    readonly store: Store;
    readonly rule: ReturnType<Policy["for"]>;
  } {
    const rule = this.#policy.for(resource);
    const store = this.#stores.get(rule.backend);
    if (store === undefined) {
      throw new LockError(
        "internal",
        `the configuration names the backend "${rule.backend}" for this resource, but no such backend is open`,
      );
    }
    return { store, rule };
  }
}

const noTimer = (): void => undefined;
