// A client whose looks are counted, and which can be stopped between its look and its write.

import type { Txn } from "../../../src/backends/etcd/calls.js";
import { Cluster } from "../../../src/backends/etcd/cluster.js";
import { Keys } from "../../../src/backends/etcd/keys.js";
import { LeasePool } from "../../../src/backends/etcd/lease-pool.js";
import { Limit } from "../../../src/backends/etcd/limit.js";
import { Locks } from "../../../src/backends/etcd/locks.js";
import { connector } from "../../../src/backends/etcd/member.js";
import { accessOf } from "../../../src/backends/etcd/settings.js";
import { Transactions, type WriteResult } from "../../../src/backends/etcd/transactions.js";
import { systemClock } from "../../../src/system-clock.js";
import type { EtcdServer } from "../../support/servers/etcd.js";

class Interrupted extends Transactions {
  /** What happens before the next write, once. */
  before: (() => Promise<unknown>) | undefined;

  /** How many looks there were. */
  reads = 0;

  override read(...asked: Parameters<Transactions["read"]>): ReturnType<Transactions["read"]> {
    this.reads += 1;
    return super.read(...asked);
  }

  override async write(txn: Txn, limit: Limit): Promise<WriteResult> {
    const { before } = this;
    this.before = undefined;
    await before?.();
    return super.write(txn, limit);
  }
}

export class SlowClient implements AsyncDisposable {
  readonly locks: Locks;
  readonly transactions: Interrupted;
  readonly leases: LeasePool;
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.transactions = new Interrupted(cluster, systemClock);
    this.leases = new LeasePool(cluster, systemClock);
    const keys = new Keys("stormlock/");
    this.locks = new Locks(keys, this.transactions, this.leases, systemClock);
  }

  static async open(server: EtcdServer): Promise<SlowClient> {
    const access = accessOf({ hosts: server.hosts });
    return new SlowClient(new Cluster(access, await connector(access), systemClock));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leases.close();
    this.#cluster.close();
  }
}

/** Five seconds from now. */
export const limit = (): Limit => new Limit(systemClock, 5000);
