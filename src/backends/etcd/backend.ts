// Locks in etcd: keys attached to etcd's own leases.

import type {
  AcquireAnswer,
  AcquireAsk,
  Backend,
  BackendTraits,
  CurrentAnswer,
  Failed,
  ListAnswer,
  ListAsk,
  ReleaseAnswer,
  ReleaseAsk,
  RenewAnswer,
  RenewAsk,
} from "../../lock/backend.js";
import type { Clock } from "../../lock/clock.js";
import type { KeyValue } from "./calls.js";
import { Cluster } from "./cluster.js";
import { EtcdFault, explain, placeOf } from "./faults.js";
import { Hints } from "./hints.js";
import { inspect } from "./inspection.js";
import { Keys } from "./keys.js";
import { LeasePool } from "./lease-pool.js";
import { Limit } from "./limit.js";
import { Locks } from "./locks.js";
import { connector } from "./member.js";
import { Pruning } from "./pruning.js";
import { accessOf, type EtcdAccess, type EtcdSettings } from "./settings.js";
import { Transactions } from "./transactions.js";

/** A store in etcd. */
export interface EtcdBackend extends Backend {
  readonly warnings: readonly string[];
}

// etcd looks for leases that have ended twice a second, and deletes 500 keys each time.
const TAKEOVER_SLACK_MS = 2000;

/**
 * Opens a store, which needs no making. Connects when it is first asked something, and again
 * whenever a connection was lost.
 * @throws LockError "unavailable" when a certificate cannot be read
 */
export async function openEtcd(
  settings: EtcdSettings,
  { clock }: { readonly clock: Clock },
): Promise<EtcdBackend> {
  const access = accessOf(settings);
  try {
    return new OpenEtcd(access, new Cluster(access, await connector(access), clock), clock);
  } catch (error) {
    throw explain(error, access);
  }
}

class OpenEtcd implements EtcdBackend {
  warnings: readonly string[] = [];
  readonly #access: EtcdAccess;
  readonly #cluster: Cluster;
  readonly #clock: Clock;
  readonly #keys: Keys;
  readonly #leases: LeasePool;
  readonly #locks: Locks;
  readonly #hints: Hints;
  readonly #pruning: Pruning;
  // What is under way, also for those who were told already that it takes too long.
  readonly #underWay = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  constructor(access: EtcdAccess, cluster: Cluster, clock: Clock) {
    this.#access = access;
    this.#cluster = cluster;
    this.#clock = clock;
    this.#keys = new Keys(access.prefix);
    const transactions = new Transactions(cluster, clock);
    this.#leases = new LeasePool(cluster, clock);
    this.#locks = new Locks(this.#keys, transactions, this.#leases, clock);
    this.#hints = new Hints(cluster, this.#keys, clock);
    this.#pruning = new Pruning(cluster, transactions, this.#keys, clock);
  }

  get traits(): BackendTraits {
    return {
      type: "etcd",
      place: placeOf(this.#access),
      minTtlMs: this.#leases.leastTtlS * 1000,
      takeoverSlackMs: TAKEOVER_SLACK_MS,
    };
  }

  async acquire(asks: readonly AcquireAsk[]): Promise<readonly AcquireAnswer[]> {
    const answers = await this.#each(asks, (ask, limit) => this.#locks.acquire(ask, limit));
    const grants = answers.filter((answer) => answer.kind === "granted" && answer.created).length;
    if (grants > 0) void this.#track(this.#pruning.after(grants, this.#limit()));
    return answers;
  }

  renew(asks: readonly RenewAsk[]): Promise<readonly RenewAnswer[]> {
    return this.#each(asks, (ask, limit) => this.#locks.renew(ask, limit));
  }

  release(asks: readonly ReleaseAsk[]): Promise<readonly ReleaseAnswer[]> {
    return this.#each(asks, (ask, limit) => this.#locks.release(ask, limit));
  }

  current(resources: readonly string[]): Promise<readonly CurrentAnswer[]> {
    return this.#each(resources, (resource, limit) => this.#locks.current(resource, limit));
  }

  list({ prefix, after, limit: most }: ListAsk): Promise<readonly ListAnswer[]> {
    return this.#whole(async (limit) => {
      const range = { ...this.#keys.heldRange(prefix, after), limit: most };
      const { kvs } = await this.#cluster.ask("KV", "range", range, limit);
      return Promise.all(kvs.map((found) => this.#listed(found, limit)));
    });
  }

  async #listed(found: KeyValue, limit: Limit): Promise<ListAnswer> {
    try {
      return await this.#locks.listed(found, limit);
    } catch (fault) {
      if (!(fault instanceof EtcdFault) || fault.kind !== "foreign") throw fault;
      const resource = this.#keys.heldResource(found.key);
      return { kind: "failed", resource, error: explain(fault, this.#access) };
    }
  }

  watch(mayBeFree: (resource: string | undefined) => void): () => void {
    return this.#closing === undefined ? this.#hints.listen(mayBeFree) : () => undefined;
  }

  async check(): Promise<void> {
    this.warnings = await this.#whole((limit) =>
      inspect(this.#cluster, this.#keys, this.#access, limit),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#hints.close();
    // Each has its limit.
    await Promise.all(this.#underWay);
    await this.#leases.close();
    this.#cluster.close();
  }

  // One answer for every question, whatever becomes of the others.
  async #each<Ask, Answer>(
    asks: readonly Ask[],
    answer: (ask: Ask, limit: Limit) => Promise<Answer>,
  ): Promise<readonly (Answer | Failed)[]> {
    this.#refuseIfClosed();
    const limit = this.#limit();
    return Promise.all(
      asks.map((ask) =>
        this.#inTime(answer(ask, limit)).catch((error: unknown): Failed => ({
          kind: "failed",
          error: explain(error, this.#access),
        })),
      ),
    );
  }

  async #whole<T>(work: (limit: Limit) => Promise<T>): Promise<T> {
    this.#refuseIfClosed();
    try {
      return await this.#inTime(work(this.#limit()));
    } catch (error) {
      throw explain(error, this.#access);
    }
  }

  // Work looks after its limit itself, but for what a group takes longer than one of its parts.
  #inTime<T>(work: Promise<T>): Promise<T> {
    void this.#track(work);
    return new Promise((resolve, reject) => {
      const stop = this.#clock.after(this.#access.timeoutMs, () => {
        reject(new EtcdFault("late", "no answer in time"));
      });
      work.then(resolve, reject).finally(stop);
    });
  }

  async #track(work: Promise<unknown>): Promise<void> {
    const settled = work.catch(() => undefined);
    this.#underWay.add(settled);
    await settled;
    this.#underWay.delete(settled);
  }

  #limit(): Limit {
    return new Limit(this.#clock, this.#access.timeoutMs);
  }

  #refuseIfClosed(): void {
    if (this.#closing === undefined) return;
    throw explain(new EtcdFault("closed", "closed"), this.#access);
  }
}
