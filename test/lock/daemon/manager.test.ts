import { describe, expect, it } from "vitest";
import { LockManager } from "../../../src/lock/daemon/manager.js";
import { Policy } from "../../../src/lock/policy.js";
import { FakeClock } from "../../support/fake-clock.js";
import { ask, asked, RESOURCE, startDaemon, Watched, wishFor } from "../../support/lock-kit.js";
import { MemoryStore } from "../../support/memory-backend.js";

const name = (leaseId: string) => ({ resource: RESOURCE, leaseId });

describe("limits and policy", () => {
  const policy = new Policy({ principal: "somebody" }, [
    { pattern: "deploy/*", rule: { ttlMs: 5000, minTtlMs: 2000, maxTtlMs: 20_000 } },
  ]);

  it("refuse what is outside, naming field, value and limit, before a store is asked", async () => {
    const { locks, clock, backend } = startDaemon({ policy });
    const refused: [Parameters<typeof wishFor>[1], string, RegExp][] = [
      [{ resource: "" }, "resource", /^resource is empty/u],
      [{ resource: "a\nb" }, "resource", /control character/u],
      [{ resource: "x".repeat(201) }, "resource", /201 bytes; at most 200/u],
      [{ leaseId: "" }, "lease_id", /^lease_id is empty/u],
      [{ leaseId: "sécret" }, "lease_id", /visible ASCII/u],
      [{ principal: "p".repeat(257) }, "principal", /257 bytes; at most 256/u],
      [{ reason: "r".repeat(257) }, "reason", /257 bytes; at most 256/u],
      [{ ttlMs: 0 }, "ttl", /ttl 0s is outside the limits for "deploy\/prod": 2s to 20s/u],
      [{ ttlMs: -1 }, "ttl", /2s to 20s/u],
      [{ ttlMs: NaN }, "ttl", /2s to 20s/u],
      [{ ttlMs: Infinity }, "ttl", /2s to 20s/u],
      [{ ttlMs: 1999 }, "ttl", /ttl 1s999ms .*2s to 20s/u],
      [{ ttlMs: 20_001 }, "ttl", /ttl 20s1ms .*2s to 20s/u],
      [{ waitMs: -1 }, "wait", /wait -1ms is not 0 or more/u],
      [{ waitMs: NaN }, "wait", /is not 0 or more/u],
      [{ labels: { "": "v" } }, "labels", /empty key/u],
    ];
    for (const [more, field, message] of refused) {
      const caller = ask(locks, "secret-id", more);
      await clock.settle();
      expect(caller.error).toMatchObject({ kind: "invalid-field", field });
      expect(caller.message).toMatch(message);
      expect(caller.message).not.toMatch(/secret-id|sécret/u);
    }
    expect(backend.calls).toEqual([]);
    expect([locks.waiters, locks.busyResources, clock.pending]).toEqual([0, 0, 0]);
  });

  it("fill in what was left out, resource by resource", async () => {
    const { locks, clock } = startDaemon({ policy });
    const here = ask(locks, "a", { principal: "", ttlMs: undefined });
    const there = ask(locks, "b", { resource: "other", principal: "ann", ttlMs: undefined });
    await clock.settle();
    expect(here.granted.lease).toMatchObject({ principal: "somebody", ttlMs: 5000 });
    expect(there.granted.lease).toMatchObject({ principal: "ann", ttlMs: 60_000 });
  });

  it("hold the store's own shortest ttl against a lease, too", async () => {
    const clock = new FakeClock();
    const store = new MemoryStore(clock, { minTtlMs: 3000 });
    const { locks } = startDaemon({ policy, clock, store });
    const caller = ask(locks, "a", { ttlMs: 2500 });
    await clock.settle();
    expect(caller.message).toMatch(/3s to 20s/u);
  });

  it("apply to a renewal that asks for a ttl, and not to one that does not", async () => {
    const { locks, clock, store } = startDaemon({ policy });
    ask(locks, "a");
    await clock.settle();
    await expect(locks.renew({ ...name("a"), ttlMs: 20_001 })).rejects.toMatchObject({
      kind: "invalid-field",
      field: "ttl",
    });
    // The policy has become tighter since; the lease keeps its own ttl.
    const strict = startDaemon({ clock, store, policy: new Policy({ maxTtlMs: 2000 }) });
    expect(await strict.locks.renew({ ...name("a"), ttlMs: undefined })).toMatchObject({
      kind: "granted",
      lease: { ttlMs: 10_000 },
    });
  });

  it("ask a store for whole milliseconds", async () => {
    const { locks, clock } = startDaemon();
    const caller = ask(locks, "a", { ttlMs: 1500.4 });
    await clock.settle();
    expect(caller.granted.lease.ttlMs).toBe(1500);
    const renewed = new Watched(locks.renew({ ...name("a"), ttlMs: 2500.6 }));
    await clock.settle();
    expect(renewed.value).toMatchObject({ lease: { ttlMs: 2501 } });
  });

  it("tell when the configuration names a backend that is not open", async () => {
    const lost = new Policy({}, [{ pattern: RESOURCE, rule: { backend: "elsewhere" } }]);
    const { locks, clock } = startDaemon({ policy: lost });
    const caller = ask(locks, "a");
    await clock.settle();
    expect(caller.kind).toBe("internal");
    expect(caller.message).toContain('"elsewhere"');
    await expect(locks.release(name("a"))).rejects.toMatchObject({ kind: "internal" });
    await expect(locks.current(RESOURCE)).rejects.toMatchObject({ kind: "internal" });
  });
});

describe("the manager", () => {
  it("tells a lock's whole story: granted, seen, refused to others, renewed, released", async () => {
    const { locks, clock } = startDaemon();
    const owner = ask(locks, "a", { reason: "release 4.2", labels: { job: "7" } });
    await clock.settle();
    expect(owner.granted.lease).toMatchObject({ reason: "release 4.2", labels: { job: "7" } });
    expect(await locks.current(RESOURCE)).toMatchObject({ leaseId: "a", principal: "a@host" });
    expect(await locks.isHeld(name("a"))).toBe(true);
    expect(await locks.isHeld(name("b"))).toBe(false);
    expect(await locks.renew({ ...name("b"), ttlMs: undefined })).toEqual({ kind: "lost" });
    expect(await locks.release(name("b"))).toBe("not-held");
    await clock.advance(9000);
    expect(await locks.renew({ ...name("a"), ttlMs: 20_000 })).toMatchObject({ kind: "granted" });
    await clock.advance(19_999);
    expect(await locks.isHeld(name("a"))).toBe(true);
    expect(await locks.release(name("a"))).toBe("released");
    expect(await locks.release(name("a"))).toBe("not-held");
    expect(await locks.current(RESOURCE)).toBeUndefined();
    expect(locks.busyResources).toBe(0);
  });

  it("waits as long as the caller stays when the wait has no end, and sets no alarm for that", async () => {
    const { locks, clock } = startDaemon();
    ask(locks, "owner", { ttlMs: 31 * 86_400_000 });
    await clock.settle();
    const caller = ask(locks, "w", { waitMs: Infinity });
    await clock.settle();
    // The line's own: to ask again, and to tell of the place.
    await clock.advance(1);
    expect(clock.pending).toBe(1);
    expect(caller.kind).toBe("open");
    caller.leave();
    await clock.settle();
    expect(clock.pending).toBe(0);
  });

  it("asks nothing for a caller who has gone before it was heard", async () => {
    const { locks, backend } = startDaemon();
    const gone = AbortSignal.abort();
    await expect(locks.acquire(wishFor("a"), { signal: gone })).rejects.toMatchObject({
      kind: "cancelled",
    });
    expect(backend.calls).toEqual([]);
    expect(locks.busyResources).toBe(0);
  });

  it("refuses one waiter too many, and takes the next when one has gone", async () => {
    const { locks, clock } = startDaemon({ maxWaiters: 2 });
    ask(locks, "owner");
    await clock.settle();
    const [first, second, third] = ["a", "b", "c"].map((id) => ask(locks, id, { waitMs: 60_000 }));
    await clock.settle();
    expect([first?.kind, second?.kind, third?.kind]).toEqual(["open", "open", "overloaded"]);
    expect(third?.message).toContain("2 callers");
    first?.leave();
    const fourth = ask(locks, "d", { waitMs: 60_000 });
    await clock.settle();
    expect([fourth.kind, locks.waiters]).toEqual(["open", 2]);
  });

  it("takes back a grant that it made, and nothing that it found or that was touched since", async () => {
    const { locks, clock } = startDaemon();
    const first = ask(locks, "a");
    await clock.settle();
    const again = ask(locks, "a");
    await clock.settle();
    await locks.takeBack(again.granted);
    expect(await locks.isHeld(name("a"))).toBe(true);
    await locks.takeBack(first.granted);
    expect(await locks.isHeld(name("a"))).toBe(true);
    await locks.release(name("a"));
    const untouched = ask(locks, "b");
    await clock.settle();
    await locks.takeBack(untouched.granted);
    expect(await locks.isHeld(name("b"))).toBe(false);
  });

  it("keeps resources apart that different backends keep", async () => {
    const clock = new FakeClock();
    const [one, two] = [new MemoryStore(clock).open(), new MemoryStore(clock).open()];
    const locks = new LockManager({
      clock,
      policy: new Policy({ backend: "one" }, [{ pattern: "two/*", rule: { backend: "two" } }]),
      backends: new Map([
        ["one", one],
        ["two", two],
      ]),
    });
    ask(locks, "a", { resource: "two/x" });
    ask(locks, "b", { resource: "x" });
    await clock.settle();
    expect([asked(one), asked(two)]).toEqual([["acquire x"], ["acquire two/x"]]);

    // As after a change of the configuration: kept where it belongs no more.
    await one.acquire([{ ...wishFor("c"), resource: "two/y", ttlMs: 10_000 }]);
    const { leases } = await locks.list({ prefix: "", pageSize: 10, pageToken: "" });
    expect(leases.map(({ resource }) => resource)).toEqual(["two/x", "x"]);
  });
});

describe("a manager that drains", () => {
  it("sends waiters and new acquires elsewhere, and goes on renewing and releasing", async () => {
    const { locks, clock } = startDaemon();
    ask(locks, "owner");
    ask(locks, "owner-2", { resource: "other" });
    await clock.settle();
    const waiters = ["a", "b"].map((id) => ask(locks, id, { waitMs: Infinity }));
    await clock.settle();
    locks.drain();
    locks.drain();
    const late = ask(locks, "late", { resource: "free" });
    await clock.settle();
    expect([...waiters, late].map(({ kind }) => kind)).toEqual(
      Array<string>(3).fill("unavailable"),
    );
    expect(waiters[0]?.message).toContain("about to stop");
    expect([locks.waiters, locks.busyResources, clock.pending]).toEqual([0, 0, 0]);
    expect(await locks.renew({ ...name("owner"), ttlMs: undefined })).toMatchObject({
      kind: "granted",
    });
    expect(await locks.release(name("owner"))).toBe("released");
    expect(await locks.current("other")).toMatchObject({ leaseId: "owner-2" });
  });

  it("takes back a grant that was on its way to somebody it has just sent away", async () => {
    const { locks, clock, store } = startDaemon({
      faults: ({ method }) => (method === "acquire" ? { afterMs: 50 } : undefined),
    });
    const caller = ask(locks, "a", { waitMs: Infinity });
    await clock.advance(10);
    locks.drain();
    await clock.settle();
    expect(caller.kind).toBe("unavailable");
    expect(store.current(RESOURCE)).toBeDefined();
    await clock.advance(50);
    expect(store.current(RESOURCE)).toBeUndefined();
    expect([locks.waiters, locks.busyResources, clock.pending]).toEqual([0, 0, 0]);
  });
});

describe("many waiters", () => {
  it(
    "ten thousand on one resource are served in seconds of work, not minutes",
    { timeout: 60_000 },
    async () => {
      const { locks, clock } = startDaemon();
      ask(locks, "w-1", { ttlMs: 60_000 });
      await clock.settle();
      const count = 10_000;
      const callers = Array.from({ length: count }, (_, index) =>
        ask(locks, `w${String(index)}`, { waitMs: Infinity }),
      );
      await clock.settle();
      const startedMs = performance.now();
      for (let turn = 0; turn < count; turn++) {
        await locks.release(name(`w${String(turn - 1)}`));
        while (callers[turn]?.isSettled === false) await new Promise((go) => setImmediate(go));
      }
      expect(callers.every(({ kind }) => kind === "granted")).toBe(true);
      expect(performance.now() - startedMs).toBeLessThan(30_000);
    },
  );

  it("ten thousand leave at once in a moment", { timeout: 60_000 }, async () => {
    const { locks, clock } = startDaemon();
    ask(locks, "owner");
    await clock.settle();
    const callers = Array.from({ length: 10_000 }, (_, index) =>
      ask(locks, `w${String(index)}`, { waitMs: 60_000 }),
    );
    await clock.settle();
    const startedMs = performance.now();
    for (const caller of callers) caller.leave();
    await clock.settle();
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    expect([locks.waiters, locks.busyResources, clock.pending]).toEqual([0, 0, 0]);
  });
});
