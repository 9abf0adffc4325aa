import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { ask, client, holder, spoiltClient, take, withDynamodb } from "./stage.js";
import { withoutItem, type Fate, type Seen } from "./http-proxy.js";

// The first answer of an operation is lost, or all of them.
const loseFirst = (operation: string) => (seen: Seen) =>
  seen.operation === operation && seen.index === 0 ? { loseAnswer: true } : undefined;
const loseAll = (operation: string) => (seen: Seen) =>
  seen.operation === operation ? { loseAnswer: true } : undefined;

await withDynamodb("dynamodb, when answers are lost", (stage) => {
  it("an acquire whose answer was lost is found to be this call's own", async () => {
    await using spoilt = await spoiltClient(stage);
    await using other = await client(stage.settings);
    spoilt.proxy.fate = loseFirst("PutItem");
    const mine = ask("acquire/first");
    const [answer] = await spoilt.backend.acquire([mine]);
    expect(answer).toMatchObject({ kind: "granted", created: true });
    expect(spoilt.proxy.count("PutItem")).toBe(2);
    const seen = await holder(other, mine.resource);
    expect(seen).toMatchObject({ leaseId: mine.leaseId });
    expect((await other.acquire([ask(mine.resource)]))[0]?.kind).toBe("held");
    // Untouched since, so that what nobody received can be taken back.
    expect(await other.release([{ ...mine, ifRevision: seen?.revision ?? 0n }])).toEqual([
      { kind: "released" },
    ]);
  });

  it("an acquire that got no answer at all is unknown, and asking again finds the lease", async () => {
    await using spoilt = await spoiltClient(stage, { timeout: "1s" });
    spoilt.proxy.fate = loseAll("PutItem");
    const mine = ask("acquire/all");
    const [failed] = await spoilt.backend.acquire([mine]);
    expect(failed).toMatchObject({ kind: "failed", error: { kind: "unavailable" } });
    spoilt.proxy.fate = () => undefined;
    const lease = await holder(spoilt.backend, mine.resource);
    expect(lease?.leaseId).toBe(mine.leaseId);
    const [again] = await spoilt.backend.acquire([mine]);
    expect(again).toMatchObject({
      kind: "granted",
      created: false,
      lease: { token: lease?.token },
    });
    expect(await spoilt.backend.release([mine])).toEqual([{ kind: "released" }]);
    expect((await spoilt.backend.acquire([mine]))[0]?.kind).toBe("spent");
  });

  it("a take-over whose answer was lost is found too, with one greater token", async () => {
    await using spoilt = await spoiltClient(stage);
    const old = await take(spoilt.backend, "acquire/over");
    await spoilt.backend.release([old]);
    const before = spoilt.proxy.count("PutItem");
    spoilt.proxy.fate = (seen) =>
      seen.operation === "PutItem" && seen.index === before ? { loseAnswer: true } : undefined;
    const lease = await take(spoilt.backend, "acquire/over");
    expect(lease.token).toBeGreaterThan(old.token);
    expect((await holder(spoilt.backend, "acquire/over"))?.token).toBe(lease.token);
  });

  it("a replay whose answer was lost is no grant of this call's", async () => {
    await using spoilt = await spoiltClient(stage);
    const mine = ask("acquire/replay");
    await spoilt.backend.acquire([mine]);
    spoilt.proxy.fate = loseFirst("UpdateItem");
    const [again] = await spoilt.backend.acquire([{ ...mine, ttlMs: 30_000 }]);
    expect(again).toMatchObject({ kind: "granted", created: false });
    expect((await holder(spoilt.backend, mine.resource))?.remainingMs).toBeGreaterThan(20_000);
  });

  it("a renewal whose answer was lost has been made, and is made once", async () => {
    await using spoilt = await spoiltClient(stage);
    const lease = await take(spoilt.backend, "renew/first");
    spoilt.proxy.fate = loseFirst("UpdateItem");
    const [answer] = await spoilt.backend.renew([{ ...lease, ttlMs: 30_000 }]);
    expect(answer).toMatchObject({ kind: "renewed", lease: { revision: lease.revision + 1n } });
    const seen = await holder(spoilt.backend, "renew/first");
    expect(seen?.token).toBe(lease.token);
    expect(seen?.remainingMs).toBeGreaterThan(20_000);
  });

  it("a renewal that got no answer loses nothing", async () => {
    await using spoilt = await spoiltClient(stage, { timeout: "1s" });
    const lease = await take(spoilt.backend, "renew/all");
    spoilt.proxy.fate = loseAll("UpdateItem");
    const [answer] = await spoilt.backend.renew([{ ...lease, ttlMs: 30_000 }]);
    expect(answer?.kind).toBe("failed");
    spoilt.proxy.fate = () => undefined;
    const [again] = await spoilt.backend.renew([{ ...lease, ttlMs: undefined }]);
    expect(again).toMatchObject({ kind: "renewed", lease: { token: lease.token, ttlMs: 30_000 } });
  });

  it("a release whose answer was lost has been made, and says so", async () => {
    await using spoilt = await spoiltClient(stage);
    const lease = await take(spoilt.backend, "release/first");
    spoilt.proxy.fate = loseFirst("UpdateItem");
    expect(await spoilt.backend.release([lease])).toEqual([{ kind: "released" }]);
    expect(await spoilt.backend.release([lease])).toEqual([{ kind: "not-held" }]);
    expect((await take(spoilt.backend, "release/first")).token).toBeGreaterThan(lease.token);
  });

  it("a release that got no answer blocks nobody", async () => {
    await using spoilt = await spoiltClient(stage, { timeout: "1s" });
    await using other = await client(stage.settings);
    const lease = await take(spoilt.backend, "release/all");
    spoilt.proxy.fate = loseAll("UpdateItem");
    expect((await spoilt.backend.release([lease]))[0]?.kind).toBe("failed");
    expect((await take(other, "release/all")).token).toBeGreaterThan(lease.token);
    spoilt.proxy.fate = () => undefined;
    expect(await spoilt.backend.release([lease])).toEqual([{ kind: "not-held" }]);
    expect(await holder(other, "release/all")).toBeDefined();
  });

  it("where a refusal does not show the item, a consistent read settles it", async () => {
    await using spoilt = await spoiltClient(stage);
    const bare = (seen: Seen): Fate => ({
      ...(seen.operation === "PutItem" && seen.index === 0 ? { loseAnswer: true } : {}),
      ...(seen.operation === "GetItem" ? {} : { change: withoutItem }),
    });
    spoilt.proxy.fate = bare;
    const mine = ask("bare");
    expect((await spoilt.backend.acquire([mine]))[0]).toMatchObject({ created: true });
    expect((await spoilt.backend.acquire([ask("bare")]))[0]).toMatchObject({
      ...{ kind: "held", holder: { leaseId: mine.leaseId } },
    });
    expect(spoilt.proxy.count("GetItem")).toBe(2);
    for (const { operation, body } of spoilt.proxy.seen) {
      if (operation === "GetItem") expect(body["ConsistentRead"]).toBe(true);
    }
  });

  it("a first attempt that arrives after the lease has ended grants nothing", async () => {
    // The attempt is given up after 40 % of the call's time, and carried out all the same.
    await using spoilt = await spoiltClient(stage, { timeout: "2s" });
    spoilt.proxy.fate = ({ operation, index }) =>
      operation === "PutItem" && index === 0 ? { lateMs: 2000 } : undefined;
    const mine = ask("late");
    expect((await spoilt.backend.acquire([mine]))[0]).toMatchObject({ kind: "granted" });
    await spoilt.backend.release([mine]);
    const next = await take(spoilt.backend, "late");
    await spoilt.backend.release([next]);
    await pause(2500);
    expect(spoilt.proxy.count("PutItem")).toBe(3);
    expect(await holder(spoilt.backend, "late")).toBeUndefined();
    expect((await take(spoilt.backend, "late")).token).toBeGreaterThan(next.token);
  });
});
