// The conditional writes. Each is one request, decided by DynamoDB where nobody else can write
// the item at the same time.
//
//   W1. A write that was carried out, its answer being lost, refuses its own repetition; the
//       refusal shows the item, and its write id tells whose work it is.
//   W2. A write that arrives late finds what came after it: a greater token, another lease id,
//       another revision.

import type { AttributeValue, ReturnValuesOnConditionCheckFailure } from "@aws-sdk/client-dynamodb";
import type { Connection } from "./connection.js";
import { isRefusal } from "./faults.js";
import { itemOf, KEY, PRUNE_ATTRIBUTE, pruneAfterS, rowOf, type Item, type Row } from "./rows.js";
import type { Deadline } from "./slots.js";

/** What became of a write: the row as it is now, if there is one. */
export type Written =
  | { readonly kind: "done"; readonly row: Row | undefined }
  | { readonly kind: "refused"; readonly row: Row | undefined };

/** On what a write depends. */
export interface Condition {
  readonly text: string;
  readonly values: Item;
}

/** The row is just as it was seen. */
export function isUnchanged({ leaseId, revision, writeId }: Row): Condition {
  return {
    text: "#lease_id = :seen_id AND #revision = :seen_revision AND #write_id = :seen_write",
    values: {
      ":seen_id": { S: leaseId },
      ":seen_revision": { N: String(revision) },
      ":seen_write": { S: writeId },
    },
  };
}

/** There is no row, or one that has ended and that this new one may follow. */
export function mayFollow(row: Row, heldFromUs: number): Condition {
  return {
    text: "attribute_not_exists(#resource) OR ((#released = :true OR #expires_us < :held_from) AND #lease_id <> :lease_id AND #token < :token)",
    values: {
      ":true": { BOOL: true },
      ":held_from": { N: String(heldFromUs) },
      ":lease_id": { S: row.leaseId },
      ":token": { N: String(row.token) },
    },
  };
}

/** This lease holds the resource. */
export function isHeldBy(leaseId: string, heldFromUs: number): Condition {
  return {
    text: "#lease_id = :lease_id AND #released = :false AND #expires_us >= :held_from",
    values: {
      ":lease_id": { S: leaseId },
      ":false": { BOOL: false },
      ":held_from": { N: String(heldFromUs) },
    },
  };
}

export function and(one: Condition, text: string, values: Item = {}): Condition {
  return { text: `${one.text} AND ${text}`, values: { ...one.values, ...values } };
}

/** A write of an attempt: its times are the attempt's. */
export interface Put {
  readonly row: Row;
  readonly condition: Condition;
}

export interface Change {
  /** Attributes that get these values. */
  readonly values: Item;
  readonly writeId: string;
  readonly condition: Condition;
}

/** What an extension sets; the end is the later one by its condition. */
export function extension(expiresUs: number, ttlMs: number, token = 0n): Item {
  return {
    expires_us: { N: String(expiresUs) },
    ttl_ms: { N: String(ttlMs) },
    [PRUNE_ATTRIBUTE]: { N: String(pruneAfterS(expiresUs, token)) },
  };
}

export const RELEASE: Item = { released: { BOOL: true } };

// Nothing can be taken for one of DynamoDB's 573 reserved words: all names are aliased.
const named = (name: string): string => `#${name}`;

const ALL_OLD = {
  ReturnValuesOnConditionCheckFailure: "ALL_OLD" satisfies ReturnValuesOnConditionCheckFailure,
} as const;

export class Writes {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Writes a whole row. */
  async put(deadline: Deadline, resource: string, make: () => Put): Promise<Written> {
    const { PutItemCommand } = this.#connection.sdk;
    const { table } = this.#connection.options;
    let row: Row | undefined;
    return this.#settled(deadline, resource, async () => {
      await this.#connection.send(deadline, (client, how) => {
        const put = make();
        row = put.row;
        const input = {
          ...{ TableName: table, Item: itemOf(put.row), ...ALL_OLD },
          ...expressions(put.condition),
        };
        return client.send(new PutItemCommand(input), how);
      });
      return row;
    });
  }

  /** Changes some of a row, and its revision and write id with it. */
  async change(deadline: Deadline, resource: string, make: () => Change): Promise<Written> {
    const { UpdateItemCommand } = this.#connection.sdk;
    const { table, place } = this.#connection.options;
    return this.#settled(deadline, resource, async () => {
      const { Attributes: item } = await this.#connection.send(deadline, (client, how) => {
        const { values, writeId, condition } = make();
        const set: Record<string, AttributeValue> = { ...values, write_id: { S: writeId } };
        const assigned = Object.keys(set).map((name) => `${named(name)} = :set_${name}`);
        const once = and(condition, "#write_id <> :set_write_id"); // W1
        const input = {
          ...{ TableName: table, Key: { [KEY]: { S: resource } }, ...ALL_OLD },
          ...expressions(once, [...Object.keys(set), "revision"], {
            ...Object.fromEntries(Object.entries(set).map(([name, v]) => [`:set_${name}`, v])),
            ":one": { N: "1" },
          }),
          UpdateExpression: `SET ${assigned.join(", ")}, #revision = #revision + :one`,
          ReturnValues: "ALL_NEW" as const,
        };
        return client.send(new UpdateItemCommand(input), how);
      });
      return item && rowOf(item, place);
    });
  }

  /** The row as the last write left it. */
  async read(deadline: Deadline, resource: string): Promise<Row | undefined> {
    const { GetItemCommand } = this.#connection.sdk;
    const { table, place } = this.#connection.options;
    const input = { TableName: table, Key: { [KEY]: { S: resource } }, ConsistentRead: true };
    const { Item: item } = await this.#connection.send(deadline, (client, how) =>
      client.send(new GetItemCommand(input), how),
    );
    return item && rowOf(item, place);
  }

  // W1. Not every server shows the item that refused.
  async #settled(
    deadline: Deadline,
    resource: string,
    write: () => Promise<Row | undefined>,
  ): Promise<Written> {
    try {
      return { kind: "done", row: await write() };
    } catch (thrown) {
      if (!isRefusal(thrown)) throw thrown;
      const { Item: item } = thrown as { readonly Item?: Item };
      const { place } = this.#connection.options;
      const row = item ? rowOf(item, place) : await this.read(deadline, resource);
      return { kind: "refused", row };
    }
  }
}

function expressions(condition: Condition, names: readonly string[] = [], values: Item = {}) {
  const used = condition.text.match(/#[a-z_]+/gu) ?? [];
  const all = new Set([...used, ...names.map(named)]);
  return {
    ConditionExpression: condition.text,
    ExpressionAttributeNames: Object.fromEntries([...all].map((name) => [name, name.slice(1)])),
    ExpressionAttributeValues: { ...condition.values, ...values },
  };
}
