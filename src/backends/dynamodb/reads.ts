// Looking at leases, always by consistent reads.

import type { BatchGetItemCommandInput, BatchGetItemCommandOutput } from "@aws-sdk/client-dynamodb";
import type { CurrentAnswer, ListAnswer, ListAsk } from "../../lock/backend.js";
import { listed, readEach } from "../../lock/unreadable.js";
import type { Connection } from "./connection.js";
import { KEY, rowOf, type Item } from "./rows.js";
import type { Leases } from "./leases.js";
import type { Deadline } from "./slots.js";

/** As many as DynamoDB takes at once. */
const KEYS_A_READ = 100;

// Between two reads of what DynamoDB left over because it had enough to do.
const LEFT_OVER_PAUSE_MS = { first: 25, most: 400 };

const NO_LEASE = "NOT attribute_type(#released, :bool) OR NOT attribute_type(#expires_us, :number)";

export class Reads {
  readonly #connection: Connection;
  readonly #leases: Leases;

  constructor(connection: Connection, leases: Leases) {
    this.#connection = connection;
    this.#leases = leases;
  }

  async current(
    resources: readonly string[],
    deadline: Deadline,
  ): Promise<readonly CurrentAnswer[]> {
    const reads: Promise<readonly Item[]>[] = [];
    for (let at = 0; at < resources.length; at += KEYS_A_READ) {
      reads.push(this.#items(resources.slice(at, at + KEYS_A_READ), deadline));
    }
    const items = new Map((await Promise.all(reads)).flat().map((item) => [nameOf(item), item]));
    return this.#read(resources, items);
  }

  /**
   * The whole table is read for every page, since it knows no order: an index would have one,
   * but is not consistent, and doubles the price of every write to make a rare question cheap.
   */
  async list(
    { prefix, after, limit }: ListAsk,
    deadline: Deadline,
  ): Promise<readonly ListAnswer[]> {
    const afterBytes = after === undefined ? undefined : Buffer.from(after);
    let found: { readonly key: Buffer; readonly item: Item }[] = [];
    const keepFirst = (): void => {
      found = found.sort((a, b) => Buffer.compare(a.key, b.key)).slice(0, limit);
    };
    for await (const items of this.#scan(prefix, deadline)) {
      for (const item of items) {
        const key = Buffer.from(nameOf(item));
        if (afterBytes === undefined || Buffer.compare(key, afterBytes) > 0) {
          found.push({ key, item });
        }
      }
      keepFirst();
    }
    const items = new Map(found.map(({ item }) => [nameOf(item), item]));
    const names = [...items.keys()];
    return listed(names, this.#read(names, items));
  }

  #read(names: readonly string[], items: ReadonlyMap<string, Item>): CurrentAnswer[] {
    this.#connection.time.nowUs(); // A clock that is off is no matter of one row.
    return readEach(names, (name) => {
      const item = items.get(name);
      return this.#leases.held(item && rowOf(item, this.#connection.options.place));
    });
  }

  /** Whether the table answers. */
  async probe(deadline: Deadline): Promise<void> {
    const { GetItemCommand } = this.#connection.sdk;
    const { table } = this.#connection.options;
    const input = { TableName: table, Key: { [KEY]: { S: "-" } }, ConsistentRead: true };
    await this.#connection.send(deadline, (client, how) =>
      client.send(new GetItemCommand(input), how),
    );
  }

  async #items(resources: readonly string[], deadline: Deadline): Promise<readonly Item[]> {
    const { BatchGetItemCommand } = this.#connection.sdk;
    const { table } = this.#connection.options;
    const items: Item[] = [];
    let pauseMs = LEFT_OVER_PAUSE_MS.first;
    let keys: Item[] | undefined = resources.map((resource) => ({ [KEY]: { S: resource } }));
    for (;;) {
      const input: BatchGetItemCommandInput = {
        RequestItems: { [table]: { Keys: keys, ConsistentRead: true } },
      };
      const answer: BatchGetItemCommandOutput = await this.#connection.send(
        deadline,
        (client, how) => client.send(new BatchGetItemCommand(input), how),
      );
      items.push(...(answer.Responses?.[table] ?? []));
      keys = answer.UnprocessedKeys?.[table]?.Keys;
      if (keys === undefined || keys.length === 0) return items;
      await this.#connection.pause(Math.random() * pauseMs, deadline);
      pauseMs = Math.min(pauseMs * 2, LEFT_OVER_PAUSE_MS.most);
    }
  }

  // What is held, and what is no lease, in no order.
  async *#scan(prefix: string, deadline: Deadline): AsyncGenerator<readonly Item[]> {
    const { ScanCommand } = this.#connection.sdk;
    const begins = prefix === "" ? "" : " AND begins_with(#resource, :prefix)";
    let startKey: Item | undefined;
    do {
      const input = {
        TableName: this.#connection.options.table,
        ConsistentRead: true,
        FilterExpression: `((#released = :false AND #expires_us >= :held_from) OR ${NO_LEASE})${begins}`,
        ExpressionAttributeNames: {
          ...{ "#released": "released", "#expires_us": "expires_us" },
          ...(prefix === "" ? {} : { "#resource": KEY }),
        },
        ExpressionAttributeValues: {
          ":false": { BOOL: false },
          ":bool": { S: "BOOL" },
          ":number": { S: "N" },
          ":held_from": { N: String(this.#leases.heldFromUs()) },
          ...(prefix === "" ? {} : { ":prefix": { S: prefix } }),
        },
        ...(startKey === undefined ? {} : { ExclusiveStartKey: startKey }),
      };
      const page = await this.#connection.send(deadline, (client, how) =>
        client.send(new ScanCommand(input), how),
      );
      yield page.Items ?? [];
      startKey = page.LastEvaluatedKey;
    } while (startKey !== undefined);
  }
}

function nameOf(item: Item): string {
  return item[KEY]?.S ?? "";
}
