// A DynamoDB that has enough to do, and a client that has a lot.

import { expect, it } from "vitest";
import { failure } from "./http-proxy.js";
import { leaseIn } from "../../../src/lock/unreadable.js";
import { ask, spoiltClient, take, withDynamodb } from "./stage.js";

await withDynamodb("dynamodb, under pressure", (stage) => {
  it("what is throttled for a moment is asked again, by us and not by the SDK", async () => {
    await using spoilt = await spoiltClient(stage);
    const errors = [
      failure(400, "ProvisionedThroughputExceededException"),
      failure(400, "ThrottlingException"),
      failure(500, "InternalServerError"),
    ];
    spoilt.proxy.fate = ({ operation, index }) =>
      operation === "PutItem" ? errors[index] : undefined;
    const lease = await take(spoilt.backend, "throttled");
    expect(spoilt.proxy.count("PutItem")).toBe(4);
    const tries = spoilt.proxy.seen.filter(({ operation }) => operation === "PutItem");
    const writeIds = tries.map(({ body }) => (body["Item"] as Record<string, unknown>)["write_id"]);
    expect(new Set(writeIds.map((id) => JSON.stringify(id))).size).toBe(1);
    expect(await spoilt.backend.release([lease])).toEqual([{ kind: "released" }]);
  });

  it("what is throttled for good fails in time, one question at a time, and says so", async () => {
    await using spoilt = await spoiltClient(stage, { timeout: "4s" });
    await spoilt.backend.check();
    spoilt.proxy.fate = ({ operation, body }) =>
      operation === "PutItem" && JSON.stringify(body).includes("hot")
        ? failure(400, "ProvisionedThroughputExceededException")
        : undefined;
    const startedMs = performance.now();
    const [hot, cold] = await spoilt.backend.acquire([ask("hot"), ask("cold")]);
    expect(performance.now() - startedMs).toBeLessThan(8000);
    expect(cold?.kind).toBe("granted");
    expect(hot).toMatchObject({ kind: "failed", error: { kind: "unavailable" } });
    if (hot?.kind === "failed") {
      expect(hot.error.message).toMatch(/is throttled \(ProvisionedThroughput.*PAY_PER_REQUEST/u);
    }
    expect(spoilt.proxy.count("PutItem")).toBeLessThan(40);
  });

  it("what is throttled slowly says so too, when the end of the call cuts the last try off", async () => {
    await using spoilt = await spoiltClient(stage, { timeout: "5s" });
    const { answer } = failure(400, "ThrottlingException");
    spoilt.proxy.fate = ({ operation }) =>
      operation === "PutItem"
        ? { lateMs: 1500, change: (carriedOut) => answer ?? carriedOut }
        : undefined;
    const [slow] = await spoilt.backend.acquire([ask("slow")]);
    expect(slow?.kind === "failed" && slow.error.message).toMatch(/is throttled \(Throttling/u);
  });

  it("keys that a batch left over are read again", async () => {
    await using spoilt = await spoiltClient(stage);
    const asks = Array.from({ length: 230 }, (_, n) => ask(`left/${String(n)}`));
    await spoilt.backend.acquire(asks);
    spoilt.proxy.fate = ({ operation, index, body }) => {
      if (operation !== "BatchGetItem" || index > 2) return undefined;
      return {
        answer: { status: 200, body: { Responses: {}, UnprocessedKeys: body["RequestItems"] } },
      };
    };
    const seen = await spoilt.backend.current(asks.map(({ resource }) => resource));
    expect(seen.map((answer) => leaseIn(answer)?.leaseId)).toEqual(
      asks.map(({ leaseId }) => leaseId),
    );
    expect(spoilt.proxy.count("BatchGetItem")).toBe(6);
    for (const { operation, body } of spoilt.proxy.seen) {
      if (operation !== "BatchGetItem") continue;
      const { stormlock_leases: table } = body["RequestItems"] as Record<
        string,
        { readonly Keys: readonly unknown[]; readonly ConsistentRead: boolean }
      >;
      expect(table?.ConsistentRead).toBe(true);
      expect(table?.Keys.length).toBeLessThanOrEqual(100);
    }
  });

  it("at most 64 requests are under way at a time, and the last of a batch waits no longer than the call", async () => {
    await using spoilt = await spoiltClient(stage, { timeout: "8s" });
    await spoilt.backend.check();
    let underWay = 0;
    let most = 0;
    spoilt.proxy.fate = ({ operation }) => {
      if (operation !== "PutItem") return undefined;
      underWay += 1;
      most = Math.max(most, underWay);
      return {
        lateMs: 600,
        change: (answer) => {
          underWay -= 1;
          return answer;
        },
      };
    };
    const startedMs = performance.now();
    const asks = Array.from({ length: 2000 }, (_, n) => ask(`many/${String(n)}`));
    const answers = await spoilt.backend.acquire(asks);
    // All of them would take 19 s.
    expect(performance.now() - startedMs).toBeLessThan(14_000);
    expect(most).toBeLessThanOrEqual(64);
    expect(most).toBeGreaterThan(32);
    const kinds = new Set(answers.map(({ kind }) => kind));
    expect(kinds).toEqual(new Set(["granted", "failed"]));
  });

  it("a list reads the table consistently, page by page", async () => {
    await using spoilt = await spoiltClient(stage, { timeout: "30s" });
    // More than the 1 MB that DynamoDB reads at once.
    const reason = "r".repeat(256);
    const labels = Object.fromEntries(
      Array.from({ length: 16 }, (_, n) => [`label-${String(n)}`, "v".repeat(256)]),
    );
    const asks = Array.from({ length: 300 }, (_, n) =>
      ask(`page/${String(n).padStart(3, "0")}`, { reason, labels, ttlMs: 60_000 }),
    );
    await spoilt.backend.acquire(asks);
    const page = await spoilt.backend.list({ prefix: "page/", after: "page/250", limit: 100 });
    expect(page.map(({ resource }) => resource)).toEqual(
      asks.slice(251).map(({ resource }) => resource),
    );
    const scans = spoilt.proxy.seen.filter(({ operation }) => operation === "Scan");
    expect(scans.length).toBeGreaterThan(1);
    for (const { body } of scans) expect(body["ConsistentRead"]).toBe(true);
  });

  it("whoever is refused by a holder has cost one request", async () => {
    await using spoilt = await spoiltClient(stage);
    const lease = await take(spoilt.backend, "busy");
    const before = spoilt.proxy.seen.length;
    expect((await spoilt.backend.acquire([ask("busy")]))[0]).toMatchObject({
      ...{ kind: "held", holder: { leaseId: lease.leaseId } },
    });
    await spoilt.backend.renew([{ ...lease, ttlMs: 10_000 }]);
    await spoilt.backend.release([lease]);
    await take(spoilt.backend, "busy");
    expect(spoilt.proxy.seen.length - before).toBe(4);
  });
});
