import type { AttributeValue, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import {
  DeleteItemCommand,
  DescribeTimeToLiveCommand,
  GetItemCommand,
  PutItemCommand,
} from "@aws-sdk/client-dynamodb";
import { expect, it } from "vitest";
import { ask, bare, client, holder, take, withDynamodb } from "./stage.js";

const TableName = "stormlock_leases";
const DAY_S = 24 * 60 * 60;

// The table past our own code.
async function item(
  table: DynamoDBClient,
  resource: string,
): Promise<Record<string, AttributeValue>> {
  const Key = { resource: { S: resource } };
  const { Item } = await table.send(new GetItemCommand({ TableName, Key, ConsistentRead: true }));
  return Item ?? {};
}

const secondsOf = (row: Record<string, AttributeValue>): number => Number(row["prune_after"]?.N);

await withDynamodb("dynamodb, and the rows it may delete", (stage) => {
  it("DynamoDB prunes by an attribute of its own, a day after a lease's end", async () => {
    const table = bare(stage.settings);
    const { TimeToLiveDescription: ttl } = await table.send(
      new DescribeTimeToLiveCommand({ TableName }),
    );
    expect(ttl).toMatchObject({ TimeToLiveStatus: "ENABLED", AttributeName: "prune_after" });

    await using backend = await client(stage.settings);
    const lease = await take(backend, "kept", { ttlMs: 60_000 });
    const endsS = Number(lease.expiresAtUs) / 1e6;
    expect(secondsOf(await item(table, "kept")) - endsS).toBeGreaterThanOrEqual(DAY_S);
    const [renewed] = await backend.renew([{ ...lease, ttlMs: 7_200_000 }]);
    expect(renewed?.kind).toBe("renewed");
    const later = secondsOf(await item(table, "kept"));
    expect(later - endsS).toBeGreaterThan(DAY_S + 7000);
    await backend.renew([{ ...lease, ttlMs: 1000 }]);
    expect(secondsOf(await item(table, "kept"))).toBe(later);
    await backend.release([lease]);
    expect(secondsOf(await item(table, "kept"))).toBe(later);
    expect((await item(table, "kept"))["released"]?.BOOL).toBe(true);
  });

  it("the token of a pruned resource still grows", async () => {
    const table = bare(stage.settings);
    await using backend = await client(stage.settings);
    const old = await take(backend, "pruned");
    await backend.release([old]);
    await table.send(new DeleteItemCommand({ TableName, Key: { resource: { S: "pruned" } } }));
    expect((await take(backend, "pruned")).token).toBeGreaterThan(old.token);
  });

  it("a token that is ahead of all clocks grows on, and is kept until clocks have passed it", async () => {
    const table = bare(stage.settings);
    await using backend = await client(stage.settings);
    const lease = await take(backend, "ahead");
    await backend.release([lease]);
    const farAhead = BigInt(Date.now() + 400 * DAY_S * 1000) * 1000n;
    const row = await item(table, "ahead");
    const Item = { ...row, token: { N: String(farAhead) }, prune_after: { N: "4102444800" } };
    await table.send(new PutItemCommand({ TableName, Item }));

    const next = await take(backend, "ahead");
    expect(next.token).toBe(farAhead + 1n);
    const isKept = async (): Promise<void> => {
      const prunedUs = secondsOf(await item(table, "ahead")) * 1e6;
      expect(prunedUs).toBeGreaterThanOrEqual(Number(next.token) + DAY_S * 1e6);
    };
    await isKept();
    expect((await backend.renew([{ ...next, ttlMs: 60_000 }]))[0]?.kind).toBe("renewed");
    await isKept();
    expect((await holder(backend, "ahead"))?.remainingMs).toBeGreaterThan(50_000);
  });

  it("a lease that was deleted while it was held is lost, and its token still grows", async () => {
    const table = bare(stage.settings);
    await using backend = await client(stage.settings);
    const lease = await take(backend, "deleted");
    await table.send(new DeleteItemCommand({ TableName, Key: { resource: { S: "deleted" } } }));
    expect(await backend.renew([{ ...lease, ttlMs: 1000 }])).toEqual([{ kind: "lost" }]);
    expect(await backend.renew([{ ...lease, ttlMs: undefined }])).toEqual([{ kind: "lost" }]);
    expect(await backend.release([lease])).toEqual([{ kind: "not-held" }]);
    expect((await take(backend, "deleted")).token).toBeGreaterThan(lease.token);
  });

  it("an item that is no lease is named, and stays as it is", async () => {
    const table = bare(stage.settings);
    await using backend = await client(stage.settings);
    const Item = { resource: { S: "foreign" }, lock: { S: "of another program" } };
    await table.send(new PutItemCommand({ TableName, Item }));
    const message = expect.stringMatching(
      /^the item "foreign" in stormlock_leases .* was not written by Stormlock/u,
    ) as string;
    const [answer] = await backend.acquire([ask("foreign")]);
    expect(answer).toMatchObject({ kind: "failed", error: { kind: "unavailable", message } });
    await expect(holder(backend, "foreign")).rejects.toMatchObject({ message });
    expect(await item(table, "foreign")).toEqual(Item);
  });
});
