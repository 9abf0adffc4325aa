// A resource's two keys, as etcd's operations on them: what a transaction reads, writes, and
// rests on.

import type { Compare, Operation } from "./calls.js";
import type { Keys } from "./keys.js";
import type { EtcdLease } from "./lease-pool.js";
import type { Limit } from "./limit.js";
import {
  heldRow,
  heldText,
  lastRow,
  lastText,
  type HeldRow,
  type HeldValue,
  type Row,
} from "./rows.js";
import { foundIn, rangeOf, type Transactions, type WriteResult } from "./transactions.js";

export class Shelf {
  readonly #keys: Keys;
  readonly #transactions: Transactions;

  constructor(keys: Keys, transactions: Transactions) {
    this.#keys = keys;
    this.#transactions = transactions;
  }

  /** Both keys as they are at one moment. @throws EtcdFault */
  async read(resource: string, limit: Limit): Promise<Row> {
    const keys = [this.#keys.held(resource), this.#keys.last(resource)];
    const [held, last] = await this.#transactions.read(keys, limit);
    return { held: heldRow(held, resource), last: lastRow(last) };
  }

  /** The same inside a transaction. */
  look(resource: string): Operation[] {
    return [rangeOf(this.#keys.held(resource)), rangeOf(this.#keys.last(resource))];
  }

  /** What such a look has found. @throws EtcdFault */
  rowIn({ results }: WriteResult, resource: string): Row {
    const [held, last] = results.map(foundIn);
    return { held: heldRow(held, resource), last: lastRow(last) };
  }

  putHeld(value: HeldValue, lease: EtcdLease): Operation {
    const key = this.#keys.held(value.resource);
    return { request_put: { key, value: heldText(value), lease: lease.id } };
  }

  putLast({ resource, leaseId, keptUntilMs }: HeldValue): Operation {
    const key = this.#keys.last(resource);
    return { request_put: { key, value: lastText(leaseId, keptUntilMs) } };
  }

  deleteHeld(resource: string): Operation {
    return { request_delete_range: { key: this.#keys.held(resource) } };
  }

  /** Nobody holds it, and nobody has since the row was read. */
  isFree(resource: string, { last }: Row): Compare[] {
    const remembered = modifiedAt(this.#keys.last(resource), last?.revision ?? 0n);
    return [createdAt(this.#keys.held(resource), 0n), remembered];
  }

  /** It is the same lock, on the same etcd lease. */
  unchanged({ value, token, etcdLease }: HeldRow): Compare[] {
    const key = this.#keys.held(value.resource);
    return [createdAt(key, token), { key, target: "Lease", result: "Equal", lease: etcdLease }];
  }

  /** Nobody has touched it either. */
  untouched(held: HeldRow): Compare[] {
    return [
      ...this.unchanged(held),
      modifiedAt(this.#keys.held(held.value.resource), held.revision),
    ];
  }
}

function createdAt(key: Buffer, revision: bigint): Compare {
  return { key, target: "Create", result: "Equal", create_revision: String(revision) };
}

function modifiedAt(key: Buffer, revision: bigint): Compare {
  return { key, target: "Mod", result: "Equal", mod_revision: String(revision) };
}
