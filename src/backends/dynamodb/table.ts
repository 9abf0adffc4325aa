// What the table has to be, and how it is made.

import type { TableDescription, TimeToLiveDescription } from "@aws-sdk/client-dynamodb";
import type {
  CreateTableCommandInput,
  UpdateTimeToLiveCommandInput,
} from "@aws-sdk/client-dynamodb";
import type { Clock } from "../../lock/clock.js";
import { LockError } from "../../lock/errors.js";
import { Connection } from "./connection.js";
import { isInUse, isMissing } from "./faults.js";
import { KEY, PRUNE_ATTRIBUTE } from "./rows.js";
import { optionsOf, type DynamodbSettings } from "./settings.js";
import type { Deadline } from "./slots.js";

const POLL_MS = 200;
/** AWS takes some seconds to make a table. */
const CREATE_WITHIN_MS = 120_000;

/** The table as DynamoDB wants to be told of it. Its items are described in rows.ts. */
export function tableDefinition(table: string): CreateTableCommandInput {
  return {
    TableName: table,
    BillingMode: "PAY_PER_REQUEST",
    AttributeDefinitions: [{ AttributeName: KEY, AttributeType: "S" }],
    KeySchema: [{ AttributeName: KEY, KeyType: "HASH" }],
  };
}

/** How DynamoDB is told to delete what is past remembering. */
export function pruningOf(table: string): UpdateTimeToLiveCommandInput {
  return {
    TableName: table,
    TimeToLiveSpecification: { AttributeName: PRUNE_ATTRIBUTE, Enabled: true },
  };
}

/**
 * Makes the table, with its pruning, and waits until it can be used. What is there already and
 * fits stays as it is.
 * @returns whether there was none before
 * @throws LockError "unavailable" with one line that says what is wrong and what to do
 */
export async function createTable(
  settings: DynamodbSettings,
  { clock }: { readonly clock: Clock },
): Promise<{ readonly isNew: boolean }> {
  await using connection = await Connection.open(optionsOf(settings), clock);
  return await connection.call(async (deadline) => {
    const isNew = await create(connection, deadline);
    const description = await active(connection, deadline);
    refuseUnfit(description, connection.options.place);
    if (ttlAttribute(description.ttl) === undefined) await enablePruning(connection, deadline);
    return { isNew };
  }, CREATE_WITHIN_MS);
}

/** @throws LockError "unavailable" when the table is none that locks can be kept in */
export async function checkTable(connection: Connection, deadline: Deadline): Promise<void> {
  refuseUnfit(await describe(connection, deadline), connection.options.place);
}

export interface Described {
  readonly table: TableDescription | undefined;
  readonly ttl: TimeToLiveDescription | undefined;
}

/** @throws LockError "unavailable" with the first thing that is wrong with the table */
export function refuseUnfit({ table, ttl }: Described, place: string): void {
  const refuse = (complaint: string): never => {
    throw new LockError("unavailable", `the table ${place} ${complaint}`);
  };
  const types = new Map(
    table?.AttributeDefinitions?.map((is) => [is.AttributeName, is.AttributeType]),
  );
  const keys = (table?.KeySchema ?? []).map(
    ({ AttributeName: name, KeyType: kind }) =>
      `${String(name)} (${String(types.get(name))}, ${String(kind)})`,
  );
  const key = keys.join(", ");
  if (key !== `${KEY} (S, HASH)`) {
    refuse(`has the key ${key}, not ${KEY} (S, HASH): it is another program's; name another table`);
  }
  // There two regions grant one lock, and the later write wins.
  const isGlobal = (table?.Replicas ?? []).length > 0 || table?.GlobalTableVersion !== undefined;
  if (isGlobal && table?.MultiRegionConsistency !== "STRONG") {
    refuse(
      "is a global table of eventual consistency, on which two regions would grant one lock: name a table of one region, or one of multi-region strong consistency",
    );
  }
  const attribute = ttlAttribute(ttl);
  if (attribute !== undefined && attribute !== PRUNE_ATTRIBUTE) {
    refuse(
      `has the TTL attribute ${attribute}, by which DynamoDB would delete what Stormlock has to remember: make it ${PRUNE_ATTRIBUTE}, turn it off, or name another table`,
    );
  }
  const status = table?.TableStatus;
  if (status !== "ACTIVE" && status !== "UPDATING") {
    refuse(`cannot be used now, its status being ${String(status)}: try again when it is ACTIVE`);
  }
}

async function describe(connection: Connection, deadline: Deadline): Promise<Described> {
  const { DescribeTableCommand, DescribeTimeToLiveCommand } = connection.sdk;
  const input = { TableName: connection.options.table };
  const [{ Table: table }, { TimeToLiveDescription: ttl }] = await Promise.all([
    connection.send(deadline, (client, how) => client.send(new DescribeTableCommand(input), how)),
    connection.send(deadline, (client, how) =>
      client.send(new DescribeTimeToLiveCommand(input), how),
    ),
  ]);
  return { table, ttl };
}

// A description may be older than the table that it should describe.
async function active(connection: Connection, deadline: Deadline): Promise<Described> {
  for (;;) {
    try {
      const description = await describe(connection, deadline);
      if (description.table?.TableStatus === "ACTIVE") return description;
    } catch (thrown) {
      if (!isMissing(thrown)) throw thrown;
    }
    await connection.pause(POLL_MS, deadline);
  }
}

// The attribute by which DynamoDB deletes, or has been told to.
function ttlAttribute(ttl: TimeToLiveDescription | undefined): string | undefined {
  const isOn = ttl?.TimeToLiveStatus === "ENABLED" || ttl?.TimeToLiveStatus === "ENABLING";
  return isOn ? ttl.AttributeName : undefined;
}

async function create(connection: Connection, deadline: Deadline): Promise<boolean> {
  const { CreateTableCommand, DescribeTableCommand } = connection.sdk;
  const { table } = connection.options;
  try {
    await connection.send(deadline, (client, how) =>
      client.send(new DescribeTableCommand({ TableName: table }), how),
    );
    return false;
  } catch (thrown) {
    if (!isMissing(thrown)) throw thrown;
  }
  let isNew = true;
  await connection.send(deadline, async (client, how) => {
    try {
      await client.send(new CreateTableCommand(tableDefinition(table)), how);
    } catch (thrown) {
      // Somebody else has just made it, or we ourselves by a request whose answer was lost.
      if (!isInUse(thrown)) throw thrown;
      isNew = false;
    }
  });
  return isNew;
}

async function enablePruning(connection: Connection, deadline: Deadline): Promise<void> {
  const { UpdateTimeToLiveCommand } = connection.sdk;
  const input = pruningOf(connection.options.table);
  try {
    await connection.send(deadline, (client, how) =>
      client.send(new UpdateTimeToLiveCommand(input), how),
    );
  } catch (thrown) {
    // Somebody else may have done it meanwhile, or we by a request whose answer was lost.
    const { ttl } = await describe(connection, deadline);
    if (ttlAttribute(ttl) !== PRUNE_ATTRIBUTE) throw thrown;
  }
}
