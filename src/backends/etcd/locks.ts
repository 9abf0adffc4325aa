// The questions, each about one resource.
//
//   E1. A resource is held while its key is there: etcd deletes it, in its own history, when the
//       etcd lease that it is attached to has ended. Nobody judges by a clock of his own.
//   E2. Every write compares what it rests on: to take, that there is no key (create revision 0)
//       and that what is remembered is what was read; later, the key's create revision *and* its
//       etcd lease. What has changed meanwhile is read from the answer and looked at again.
//   E3. Renewing keeps the etcd lease alive *first*, then proves by such a write that the lock
//       was still there: then its whole ttl was before it. Both under one leader: one that has
//       been deposed and does not know it yet may say that it has kept a lease alive.
//   E4. A ttl cannot be changed. A longer one means another etcd lease, put in place by the same
//       write; a shorter one too, once less than it is left. Until then the old one stays, and is
//       not kept alive: so an end never moves to an earlier time.
//   E5. The token is the key's create revision: etcd's history only ever grows.
//   E6. The last lease id stands in a key of its own, without an etcd lease, written together
//       with the lock: it is there when the lock has ended, however it ended.
//   E7. What our own last write has left there is a guess that saves a look. It is good for a write
//       that compares all that it rests on, and for nothing else: no answer comes from it, and no
//       etcd lease is kept alive, since that may carry another lock by now.

import type {
  AcquireAnswer,
  AcquireAsk,
  ReleaseAnswer,
  ReleaseAsk,
  RenewAnswer,
  RenewAsk,
} from "../../lock/backend.js";
import type { Clock } from "../../lock/clock.js";
import type { Lease } from "../../lock/lease.js";
import type { Compare, KeyValue, Operation } from "./calls.js";
import { EtcdFault } from "./faults.js";
import type { Keys } from "./keys.js";
import { KnownRows } from "./known-rows.js";
import type { EtcdLease, LeasePool } from "./lease-pool.js";
import type { Limit } from "./limit.js";
import { heldRow, toLease, type HeldRow, type HeldValue, type Row } from "./rows.js";
import { Shelf } from "./shelf.js";
import type { Transactions, WriteResult } from "./transactions.js";

// Somebody else was faster every time: more would be no accident.
const MOST_ROUNDS = 8;

/** How long a lease id is remembered after its lease has ended, at the least. */
const KEEP_LAST_MS = 24 * 60 * 60 * 1000;
// So that not every renewal of a lock writes it anew.
const KEEP_SPARE_MS = 6 * 60 * 60 * 1000;

// etcd counts whole seconds and deletes twice a second: who waits would ask all the time.
const LEAST_SEEN_MS = 250;

export class Locks {
  readonly #keys: Keys;
  readonly #transactions: Transactions;
  readonly #shelf: Shelf;
  readonly #leases: LeasePool;
  readonly #clock: Clock;
  readonly #known = new KnownRows();

  constructor(keys: Keys, transactions: Transactions, leases: LeasePool, clock: Clock) {
    this.#keys = keys;
    this.#transactions = transactions;
    this.#shelf = new Shelf(keys, transactions);
    this.#leases = leases;
    this.#clock = clock;
  }

  /** @throws EtcdFault, as all here */
  async acquire(ask: AcquireAsk, limit: Limit): Promise<AcquireAnswer> {
    const isFree = ({ held, last }: Row): boolean =>
      held === undefined && last?.leaseId !== ask.leaseId;
    let row = await this.#lookAt(ask.resource, isFree, limit);
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const { held, last } = row;
      if (held !== undefined && held.value.leaseId !== ask.leaseId) {
        return { kind: "held", holder: await this.#seen(held, limit) };
      }
      if (held !== undefined) {
        const ttlS = this.#leases.secondsOf(ask.ttlMs);
        const outcome = await this.#extend({ held, last }, ttlS, limit);
        if ("lease" in outcome) return { kind: "granted", lease: outcome.lease, created: false };
        row = outcome.row;
      } else if (last?.leaseId === ask.leaseId) {
        return { kind: "spent" };
      } else {
        const outcome = await this.#take(ask, row, limit);
        if ("lease" in outcome) return { kind: "granted", lease: outcome.lease, created: true };
        row = outcome.row;
      }
    }
    throw tooBusy(ask.resource);
  }

  async renew({ resource, leaseId, ttlMs }: RenewAsk, limit: Limit): Promise<RenewAnswer> {
    let row = await this.#shelf.read(resource, limit);
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const { held, last } = row;
      if (held?.value.leaseId !== leaseId) return { kind: "lost" };
      const ttlS = ttlMs === undefined ? held.value.ttlS : this.#leases.secondsOf(ttlMs);
      const outcome = await this.#extend({ held, last }, ttlS, limit);
      if ("lease" in outcome) return { kind: "renewed", lease: outcome.lease };
      row = outcome.row;
    }
    throw tooBusy(resource);
  }

  async release(ask: ReleaseAsk, limit: Limit): Promise<ReleaseAnswer> {
    const { resource, leaseId, ifRevision } = ask;
    const isOurs = ({ held }: Row): boolean =>
      held?.value.leaseId === leaseId && (ifRevision ?? held.revision) === held.revision;
    let row = await this.#lookAt(resource, isOurs, limit);
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const { held, last } = row;
      if (held === undefined || !isOurs(row)) return { kind: "not-held" };
      const result = await this.#transactions.write(
        {
          compare:
            ifRevision === undefined ? this.#shelf.unchanged(held) : this.#shelf.untouched(held),
          success: [this.#shelf.deleteHeld(resource)],
          failure: this.#shelf.look(resource),
        },
        limit,
      );
      if (result.isDone) {
        this.#leases.giveBack({ id: held.etcdLease, ttlS: held.value.grantedS });
        this.#known.remember(resource, { held: undefined, last });
        return { kind: "released" };
      }
      row = this.#shelf.rowIn(result, resource);
    }
    throw tooBusy(resource);
  }

  async current(resource: string, limit: Limit): Promise<Lease | undefined> {
    const [found] = await this.#transactions.read([this.#keys.held(resource)], limit);
    const held = heldRow(found, resource);
    return held && this.#seen(held, limit);
  }

  /** The lease of a key that a range had. */
  async listed(found: KeyValue, limit: Limit): Promise<Lease> {
    return await this.#seen(heldRow(found, this.#keys.heldResource(found.key)), limit);
  }

  // E7: as our own last write has left it, if that is what a write can rest on.
  async #lookAt(resource: string, isOfUse: (row: Row) => boolean, limit: Limit): Promise<Row> {
    return this.#known.take(resource, isOfUse) ?? this.#shelf.read(resource, limit);
  }

  // A lock that is free, as far as is known.
  async #take(
    { resource, leaseId, principal, reason, labels, ttlMs }: AcquireAsk,
    row: Row,
    limit: Limit,
  ): Promise<Outcome> {
    const lease = await this.#leases.take(this.#leases.secondsOf(ttlMs), limit);
    const keptUntilMs = this.#keepUntil(lease.ttlS);
    const value: HeldValue = {
      ...{ resource, leaseId, principal, reason, labels, keptUntilMs },
      ...{ ttlS: lease.ttlS, grantedS: lease.ttlS },
      createdAtUs: BigInt(Math.floor(this.#clock.wallMs() * 1000)),
    };
    const compare = this.#shelf.isFree(resource, row);
    const success = [this.#shelf.putHeld(value, lease), this.#shelf.putLast(value)];
    const result = await this.#attach(lease, { resource, compare, success }, limit);
    if (result === undefined) return { row: await this.#shelf.read(resource, limit) };
    if (!result.isDone) return { row: this.#shelf.rowIn(result, resource) };
    const { revision } = result;
    const held = { value, etcdLease: lease.id, token: revision, revision };
    const last = { leaseId, keptUntilMs, revision };
    if (!isOfOneLeader(lease, result)) return this.#extend({ held, last }, lease.ttlS, limit);
    this.#known.remember(resource, { held, last });
    return { lease: this.#granted(held, lease) };
  }

  // E3, E4
  async #extend(row: TakenRow, ttlS: number, limit: Limit): Promise<Outcome> {
    const { held } = row;
    if (ttlS === held.value.grantedS) {
      const kept = await this.#leases.keepAlive(held.etcdLease, limit);
      return kept === undefined ? this.#ended(held, limit) : this.#write(row, ttlS, kept, limit);
    }
    if (ttlS < held.value.grantedS) {
      const { ms, term } = await this.#leases.remaining(held.etcdLease, limit);
      if (ms >= ttlS * 1000) {
        // It lives as if it had been kept alive so much earlier.
        const sinceMs = this.#clock.monotonicMs() + ms - held.value.grantedS * 1000;
        const lease = { id: held.etcdLease, ttlS: held.value.grantedS, sinceMs, term };
        return this.#write(row, ttlS, lease, limit);
      }
    }
    return this.#write(row, ttlS, await this.#leases.take(ttlS, limit), limit);
  }

  // Proves that the lock is there, and puts it on the lease: its own, or another.
  async #write(row: TakenRow, ttlS: number, lease: EtcdLease, limit: Limit): Promise<Outcome> {
    const { held } = row;
    const { resource, leaseId, keptUntilMs: keptMs } = held.value;
    const isMoving = lease.id !== held.etcdLease;
    const isKeptLong = keptMs >= this.#keepUntil(lease.ttlS) - KEEP_SPARE_MS;
    const keptUntilMs = isKeptLong ? keptMs : this.#keepUntil(lease.ttlS);
    const value = {
      ...{ ...held.value, keptUntilMs },
      ...{ ttlS: isMoving ? lease.ttlS : ttlS, grantedS: lease.ttlS },
    };
    const write = {
      resource,
      compare: this.#shelf.unchanged(held),
      success: [
        this.#shelf.putHeld(value, lease),
        ...(isKeptLong ? [] : [this.#shelf.putLast(value)]),
      ],
    };
    const result = isMoving
      ? await this.#attach(lease, write, limit)
      : await this.#attempt(write, limit);
    if (result === undefined) return { row: await this.#shelf.read(resource, limit) };
    if (!result.isDone) return { row: this.#shelf.rowIn(result, resource) };
    if (isMoving) this.#leases.giveBack({ id: held.etcdLease, ttlS: held.value.grantedS });
    const { revision } = result;
    const written = {
      held: { ...held, value, etcdLease: lease.id, revision },
      last: isKeptLong ? row.last : { leaseId, keptUntilMs, revision },
    };
    if (!isOfOneLeader(lease, result)) return { row: written };
    this.#known.remember(resource, written);
    return { lease: this.#granted(written.held, lease) };
  }

  // etcd says that the lease has ended: then its key has gone with it, or has been moved.
  async #ended(held: HeldRow, limit: Limit): Promise<Outcome> {
    const row = await this.#shelf.read(held.value.resource, limit);
    if (row.held?.etcdLease !== held.etcdLease) return { row };
    // Neither true nor false: to be asked again.
    throw new EtcdFault("unready", "a lease has ended and its key is still there");
  }

  // Writes what attaches a lock to a lease that carried nothing. Without an answer nobody knows
  // what it carries now.
  async #attach(lease: EtcdLease, write: Write, limit: Limit): Promise<WriteResult | undefined> {
    try {
      const result = await this.#attempt(write, limit);
      if (result?.isDone === false) this.#leases.giveBack(lease);
      return result;
    } catch (fault) {
      if (fault instanceof EtcdFault && fault.kind === "refused") this.#leases.giveBack(lease);
      throw fault;
    }
  }

  /** @returns undefined when the etcd lease is gone, and nothing was done */
  async #attempt(write: Write, limit: Limit): Promise<WriteResult | undefined> {
    const { resource, compare, success } = write;
    try {
      const txn = { compare, success, failure: this.#shelf.look(resource) };
      return await this.#transactions.write(txn, limit);
    } catch (fault) {
      if (fault instanceof EtcdFault && fault.isLeaseGone) return undefined;
      throw fault;
    }
  }

  #keepUntil(ttlS: number): number {
    return Math.ceil(this.#clock.wallMs() + ttlS * 1000 + KEEP_LAST_MS + KEEP_SPARE_MS);
  }

  #granted(row: HeldRow, { ttlS, sinceMs }: EtcdLease): Lease {
    const agoMs = this.#clock.monotonicMs() - sinceMs;
    return toLease(row, Math.max(0, Math.floor(ttlS * 1000 - agoMs)), this.#clock.wallMs());
  }

  async #seen(held: HeldRow, limit: Limit): Promise<Lease> {
    const { ms } = await this.#leases.remaining(held.etcdLease, limit);
    const seenMs = Math.max(LEAST_SEEN_MS, Math.floor(ms));
    return toLease(held, seenMs, this.#clock.wallMs());
  }
}

/** Done, or what is there instead. */
type Outcome = { readonly lease: Lease } | { readonly row: Row };

interface TakenRow extends Row {
  readonly held: HeldRow;
}

interface Write {
  readonly resource: string;
  readonly compare: Compare[];
  readonly success: Operation[];
}

// E3
function isOfOneLeader({ term }: EtcdLease, result: WriteResult): boolean {
  return term === undefined || term === result.term;
}

function tooBusy(resource: string): EtcdFault {
  return new EtcdFault("unready", `${resource} is changing hands all the time`);
}
