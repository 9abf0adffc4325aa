// etcd's own leases: each carries one lock at a time, and is used again after its release, since
// granting and revoking one costs more than all the rest.
//
//   P1. A lease is idle here only when it certainly carries nothing: its lock was released by our
//       own transaction or moved away from it, or the transaction that would have attached one
//       was certainly not carried out. Whoever is in doubt forgets it; it ends by itself.
//   P2. Whose transaction released a lock owns the lock's lease, whoever had it granted. So none
//       is ever in two pools.
//   P3. Validity counts from before the store was asked.
//   P4. What is idle is not kept alive. It is revoked after a while, when there are too many, and
//       at the end: after that only leases that carry locks are left.

import type { Clock } from "../../lock/clock.js";
import type { Cluster } from "./cluster.js";
import { KeepAlives } from "./keep-alives.js";
import { Limit } from "./limit.js";
import { Turnstile } from "./turnstile.js";

/** How many idle ones are kept at the most. */
export const MOST_IDLE = 1000;

const IDLE_FOR_MS = 30_000;
const SWEEP_EVERY_MS = 10_000;
const ASKED_AT_A_TIME = 64;
const REVOKE_WITHIN_MS = 1000;

// etcd's shortest with its usual election timeout. Others are learned from what it grants.
const USUAL_LEAST_TTL_S = 2;

/** One that carries nothing, or the lock that it is about. */
export interface EtcdLease {
  readonly id: string;
  /** As granted. */
  readonly ttlS: number;
  /** It lives from here for its ttl, by the monotonic clock (P3). */
  readonly sinceMs: number;
  /** Which leader has said so; undefined when the whole cluster has. */
  readonly term?: string;
}

interface Idle {
  readonly id: string;
  readonly idleSinceMs: number;
}

export class LeasePool {
  readonly #cluster: Cluster;
  readonly #clock: Clock;
  readonly #keepAlives: KeepAlives;
  readonly #turnstile = new Turnstile(ASKED_AT_A_TIME);
  // By ttl, the one used last at the end.
  readonly #idle = new Map<number, Idle[]>();
  readonly #revoking = new Set<Promise<unknown>>();
  #idleCount = 0;
  #isClosed = false;
  #stopSweeping: (() => void) | undefined;
  #leastTtlS = USUAL_LEAST_TTL_S;

  constructor(cluster: Cluster, clock: Clock) {
    this.#cluster = cluster;
    this.#clock = clock;
    this.#keepAlives = new KeepAlives(cluster, clock);
  }

  /** The shortest ttl that the store grants, as far as is known. */
  get leastTtlS(): number {
    return this.#leastTtlS;
  }

  /** What the store makes of a ttl: whole seconds, and not too few. */
  secondsOf(ttlMs: number): number {
    return Math.max(this.#leastTtlS, Math.ceil(ttlMs / 1000));
  }

  /** One that carries nothing and has its whole ttl before it. @throws EtcdFault */
  async take(ttlS: number, limit: Limit): Promise<EtcdLease> {
    for (let idle = this.#takeIdle(ttlS); idle !== undefined; idle = this.#takeIdle(ttlS)) {
      const kept = await this.keepAlive(idle.id, limit);
      if (kept !== undefined) return kept;
    }
    const sinceMs = this.#clock.monotonicMs(); // P3
    // Once granted and never heard of, a lease ends by itself.
    const { ID, TTL } = await this.#turnstile.pass(() =>
      this.#cluster.ask("Lease", "leaseGrant", { TTL: ttlS }, limit),
    );
    const granted = Number(TTL);
    if (granted > ttlS) this.#leastTtlS = Math.max(this.#leastTtlS, granted);
    return { id: ID, ttlS: granted, sinceMs };
  }

  /** Takes back one that certainly carries nothing (P1). */
  giveBack({ id, ttlS }: Pick<EtcdLease, "id" | "ttlS">): void {
    if (this.#isClosed || this.#idleCount >= MOST_IDLE) {
      this.#revoke(id);
      return;
    }
    const idle = this.#idle.get(ttlS) ?? [];
    idle.push({ id, idleSinceMs: this.#clock.monotonicMs() });
    this.#idle.set(ttlS, idle);
    this.#idleCount += 1;
    this.#sweepLater();
  }

  /** @returns undefined when it has ended @throws EtcdFault */
  async keepAlive(id: string, limit: Limit): Promise<EtcdLease | undefined> {
    const sinceMs = this.#clock.monotonicMs(); // P3
    const { ttlS, term } = await this.#keepAlives.renew(id, limit);
    return ttlS > 0 ? { id, ttlS, sinceMs, term } : undefined;
  }

  /** How long it lives on at the least; 0 when it has ended or is about to. @throws EtcdFault */
  async remaining(
    id: string,
    limit: Limit,
  ): Promise<{ readonly ms: number; readonly term: string }> {
    const sinceMs = this.#clock.monotonicMs();
    const { TTL, header } = await this.#turnstile.pass(() =>
      this.#cluster.ask("Lease", "leaseTimeToLive", { ID: id }, limit),
    );
    // Seconds that have begun are not counted by etcd.
    const ms = Math.max(0, Number(TTL) * 1000 - (this.#clock.monotonicMs() - sinceMs));
    return { ms, term: header.raft_term };
  }

  /** Revokes what is idle, for a moment at the most. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopSweeping?.();
    for (const { id } of [...this.#idle.values()].flat()) this.#revoke(id);
    this.#idle.clear();
    await Promise.all(this.#revoking);
    this.#keepAlives.close();
  }

  #takeIdle(ttlS: number): Idle | undefined {
    const idle = this.#idle.get(ttlS)?.pop();
    if (idle !== undefined) this.#idleCount -= 1;
    return idle;
  }

  #revoke(id: string): void {
    const limit = new Limit(this.#clock, REVOKE_WITHIN_MS);
    const revoking = this.#turnstile
      .pass(() => this.#cluster.once("Lease", "leaseRevoke", { ID: id }, limit))
      .catch(() => undefined) // It ends by itself.
      .finally(() => this.#revoking.delete(revoking));
    this.#revoking.add(revoking);
  }

  // P4
  #sweepLater(): void {
    this.#stopSweeping ??= this.#clock.after(SWEEP_EVERY_MS, () => {
      this.#stopSweeping = undefined;
      const latestMs = this.#clock.monotonicMs() - IDLE_FOR_MS;
      for (const [ttlS, idle] of this.#idle) {
        const staying = idle.findIndex(({ idleSinceMs }) => idleSinceMs > latestMs);
        const leaving = idle.splice(0, staying < 0 ? idle.length : staying);
        this.#idleCount -= leaving.length;
        for (const { id } of leaving) this.#revoke(id);
        if (idle.length === 0) this.#idle.delete(ttlS);
      }
      if (this.#idleCount > 0) this.#sweepLater();
    });
  }
}
