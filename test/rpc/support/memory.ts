import type {
  AcquireAnswer,
  AcquireAsk,
  Backend,
  ListAsk,
  ReleaseAnswer,
  ReleaseAsk,
  RenewAnswer,
  RenewAsk,
} from "../../../src/lock/backend.js";
import type { Clock } from "../../../src/lock/clock.js";
import type { Lease } from "../../../src/lock/lease.js";

interface Row {
  readonly lease: Lease;
  readonly endsAtMs: number;
}

/** Leases in this process's memory. */
export class MemoryBackend implements Backend {
  readonly traits = { type: "memory", place: "memory", minTtlMs: 1, takeoverSlackMs: 0 };
  /** Set it to have the store out of order. */
  complaint: Error | undefined;
  readonly #clock: Clock;
  readonly #rows = new Map<string, Row>();
  #token = 0n;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async acquire(asks: readonly AcquireAsk[]): Promise<readonly AcquireAnswer[]> {
    await this.check();
    return asks.map((ask) => {
      const row = this.#rows.get(ask.resource);
      const holder = this.#live(ask.resource);
      if (holder !== undefined && holder.leaseId !== ask.leaseId) return { kind: "held", holder };
      if (holder === undefined && row?.lease.leaseId === ask.leaseId) return { kind: "spent" };
      const created = holder === undefined;
      return { kind: "granted", lease: this.#write(ask, ask.ttlMs, holder), created };
    });
  }

  async renew(asks: readonly RenewAsk[]): Promise<readonly RenewAnswer[]> {
    await this.check();
    return asks.map((ask) => {
      const lease = this.#live(ask.resource);
      if (lease?.leaseId !== ask.leaseId) return { kind: "lost" };
      return { kind: "renewed", lease: this.#write(lease, ask.ttlMs ?? lease.ttlMs, lease) };
    });
  }

  async release(asks: readonly ReleaseAsk[]): Promise<readonly ReleaseAnswer[]> {
    await this.check();
    return asks.map(({ resource, leaseId, ifRevision }) => {
      const lease = this.#live(resource);
      const isIt = lease?.leaseId === leaseId && (ifRevision ?? lease.revision) === lease.revision;
      if (!isIt) return { kind: "not-held" };
      this.#rows.set(resource, { lease, endsAtMs: -Infinity });
      return { kind: "released" };
    });
  }

  async current(resources: readonly string[]): Promise<readonly (Lease | undefined)[]> {
    await this.check();
    return resources.map((resource) => this.#live(resource));
  }

  async list({ prefix, after, limit }: ListAsk): Promise<readonly Lease[]> {
    await this.check();
    return [...this.#rows.keys()]
      .filter((name) => name.startsWith(prefix) && (after === undefined || name > after))
      .sort()
      .flatMap((name) => this.#live(name) ?? [])
      .slice(0, limit);
  }

  check(): Promise<void> {
    return this.complaint === undefined ? Promise.resolve() : Promise.reject(this.complaint);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  #live(resource: string): Lease | undefined {
    const row = this.#rows.get(resource);
    const remainingMs = row === undefined ? 0 : row.endsAtMs - this.#clock.monotonicMs();
    return row === undefined || remainingMs <= 0 ? undefined : { ...row.lease, remainingMs };
  }

  #write(said: Omit<AcquireAsk, "ttlMs">, ttlMs: number, before: Lease | undefined): Lease {
    const wallUs = BigInt(Math.round(this.#clock.wallMs() * 1000));
    this.#token += 1n;
    const lease: Lease = {
      resource: said.resource,
      leaseId: said.leaseId,
      principal: said.principal,
      reason: said.reason,
      labels: said.labels,
      ttlMs,
      remainingMs: ttlMs,
      token: before?.token ?? this.#token,
      createdAtUs: before?.createdAtUs ?? wallUs,
      expiresAtUs: wallUs + BigInt(Math.round(ttlMs * 1000)),
      revision: this.#token,
    };
    this.#rows.set(said.resource, { lease, endsAtMs: this.#clock.monotonicMs() + ttlMs });
    return lease;
  }
}
