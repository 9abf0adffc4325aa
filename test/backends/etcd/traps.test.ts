// What a store on etcd gets wrong easily, each with a test of its own.

import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Etcd3 } from "etcd3";
import { newLeaseId } from "../../../src/lock/lease.js";
import { EtcdServer } from "../../support/servers/etcd.js";
import { ask, holder, missing, open, outcome, take, until } from "./stage.js";

const REFUSED = 1000;
const SHORT_MS = 2000;

describe.skipIf(missing !== undefined)("etcd's traps", () => {
  let server: EtcdServer;
  let admin: Etcd3;

  beforeAll(async () => {
    server = await EtcdServer.start();
    admin = server.admin();
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  const keyOf = (resource: string): Buffer => Buffer.from(`stormlock/held/${resource}`);

  const stored = async (resource: string, revision = 0) =>
    (await admin.kv.range({ key: keyOf(resource), revision })).kvs[0];

  it("a thousand refused acquires leave no etcd lease behind", async () => {
    await using ours = await open(server.address);
    await using theirs = await open(server.address);
    const before = await server.leases();
    const names = Array.from({ length: 10 }, (_, n) => `refused/${String(n)}`);
    await ours.acquire(names.map((name) => ask(name)));
    for (let n = 0; n < REFUSED; n += names.length) {
      const answers = await theirs.acquire(names.map((name) => ask(name)));
      expect(answers.every(({ kind }) => kind === "held")).toBe(true);
    }
    expect(await server.leases()).toBe(before + names.length);
  });

  it("those who lose a race keep their etcd leases for the next, and none at the end", async () => {
    const before = await server.leases();
    const clients = await Promise.all(Array.from({ length: 4 }, () => open(server.address)));
    const names = Array.from({ length: 100 }, (_, n) => `race/${String(n)}`);
    const answers = await Promise.all(
      clients.map((client) => client.acquire(names.map((name) => ask(name)))),
    );
    expect(answers.flat().filter(({ kind }) => kind === "granted")).toHaveLength(names.length);
    for (const client of clients) await client[Symbol.asyncDispose]();
    expect(await server.leases()).toBe(before + names.length);
  });

  it("a released lock's etcd lease carries the next one", async () => {
    await using backend = await open(server.address);
    const used = new Set<string>();
    for (let n = 0; n < 20; n++) {
      const lease = await take(backend, `reused/${String(n % 3)}`);
      used.add((await stored(lease.resource))?.lease ?? "");
      expect(outcome((await backend.release([lease]))[0])).toBe("released");
    }
    expect(used.size).toBe(1);
  });

  it("an etcd lease never carries two locks", async () => {
    await using ours = await open(server.address);
    await using theirs = await open(server.address);
    const names = Array.from({ length: 60 }, (_, n) => `single/${String(n)}`);
    for (let round = 0; round < 5; round++) {
      const [asks, others] = [names.slice(0, 30), names.slice(30)].map((half) =>
        half.map((name) => ask(name)),
      );
      await Promise.all([ours.acquire(asks ?? []), theirs.acquire(others ?? [])]);
      const { kvs } = await admin.kv.range({
        key: keyOf("single/"),
        range_end: keyOf("single0"),
      });
      expect(kvs).toHaveLength(names.length);
      expect(new Set(kvs.map(({ lease }) => lease)).size).toBe(names.length);
      // Each gives back what the other one took.
      await Promise.all([theirs.release(asks ?? []), ours.release(others ?? [])]);
    }
  });

  it("what idles here is not kept alive: a client that vanishes leaves nothing for long", async () => {
    await using lone = await EtcdServer.start();
    await using backend = await open(lone.address);
    const released = await take(backend, "idle", { ttlMs: SHORT_MS });
    await take(backend, "orphan", { ttlMs: SHORT_MS });
    await backend.release([released]);
    expect(await lone.leases()).toBe(2);
    await pause(SHORT_MS + backend.traits.takeoverSlackMs);
    expect(await lone.leases()).toBe(0);
    // And one that has ended meanwhile is not mistaken for a live one.
    const lease = await take(backend, "idle", { ttlMs: SHORT_MS });
    expect(lease.remainingMs).toBeGreaterThan(SHORT_MS / 2);
  });

  it("another ttl is another etcd lease, put in place without a moment between", async () => {
    await using backend = await open(server.address);
    const lease = await take(backend, "longer", { ttlMs: 10_000 });
    const before = await stored("longer");
    const [renewed] = await backend.renew([{ ...lease, ttlMs: 100_000 }]);
    const after = await stored("longer");
    expect(renewed?.kind).toBe("renewed");
    expect(after?.lease).not.toBe(before?.lease);
    expect(after?.create_revision).toBe(before?.create_revision);
    expect(BigInt(after?.mod_revision ?? 0)).toBe(BigInt(before?.mod_revision ?? 0) + 1n);
    // The first one is free again, and carries the next lock of its length.
    const next = await take(backend, "longer/next", { ttlMs: 10_000 });
    expect((await stored(next.resource))?.lease).toBe(before?.lease);
    expect((await holder(backend, "longer"))?.remainingMs).toBeGreaterThan(90_000);
  });

  it("a shorter ttl counts once less is left: until then the end stays where it is", async () => {
    await using backend = await open(server.address);
    const lease = await take(backend, "shorter", { ttlMs: 5000 });
    const before = await stored("shorter");
    const [renewed] = await backend.renew([{ ...lease, ttlMs: SHORT_MS }]);
    expect(renewed?.kind === "renewed" && renewed.lease.ttlMs).toBe(SHORT_MS);
    expect(renewed?.kind === "renewed" && renewed.lease.remainingMs).toBeGreaterThan(3000);
    expect((await stored("shorter"))?.lease).toBe(before?.lease);
    await pause(3500);
    // By now its end is nearer than the ttl.
    const [again] = await backend.renew([{ ...lease, ttlMs: undefined }]);
    expect(again?.kind === "renewed" && again.lease.remainingMs).toBeGreaterThan(SHORT_MS / 2);
    expect((await stored("shorter"))?.lease).not.toBe(before?.lease);
    await pause(1000);
    expect((await holder(backend, "shorter"))?.token).toBe(lease.token);
    const goneBy = 1500 + backend.traits.takeoverSlackMs;
    await until(async () => !(await holder(backend, "shorter")), goneBy, "it should end in 2 s");
  });

  it("the ttl is what etcd grants: whole seconds, and not below its least", async () => {
    await using slow = await EtcdServer.start({ flags: ["--election-timeout", "3000"] });
    await using backend = await open(slow.address);
    expect(backend.traits.minTtlMs).toBe(2000);
    const lease = await take(backend, "least", { ttlMs: 1 });
    expect(lease.ttlMs).toBe(5000);
    expect(lease.remainingMs).toBeLessThanOrEqual(5000);
    expect(backend.traits.minTtlMs).toBe(5000);
    expect((await take(backend, "whole", { ttlMs: 7001 })).ttlMs).toBe(8000);
    const [renewed] = await backend.renew([{ ...lease, ttlMs: 2500 }]);
    expect(renewed?.kind === "renewed" && renewed.lease.ttlMs).toBe(5000);
  });

  it("a server that takes fewer operations at a time is given fewer", async () => {
    await using narrow = await EtcdServer.start({ flags: ["--max-txn-ops", "8"] });
    await using backend = await open(narrow.address);
    const asks = Array.from({ length: 200 }, (_, n) => ask(`narrow/${String(n)}`));
    const all = (answers: readonly { kind: string }[], kind: string): boolean =>
      answers.every((answer) => answer.kind === kind);
    expect(all(await backend.acquire(asks), "granted")).toBe(true);
    expect(all(await backend.renew(asks), "renewed")).toBe(true);
    expect(all(await backend.release(asks), "released")).toBe(true);
  });

  it("what its holders have said may be long, for all of them at once", async () => {
    await using backend = await open(server.address);
    // With quotes, which are written as two characters.
    const labels = Object.fromEntries(
      Array.from({ length: 32 }, (_, n) => [`${"k".repeat(60)}${String(n)}`, '"'.repeat(256)]),
    );
    const asks = Array.from({ length: 300 }, (_, n) => ask(`long/${String(n)}`, { labels }));
    for (const answer of await backend.acquire(asks)) expect(outcome(answer)).toBe("granted");
    const page = await backend.list({ prefix: "long/", after: undefined, limit: 1000 });
    expect(page).toHaveLength(asks.length);
    expect(page[299]).toMatchObject({ labels });
    await backend.release(asks);
  });

  it("what is left is never told to be more than it is", async () => {
    await using backend = await open(server.address);
    const startedMs = performance.now();
    const lease = await take(backend, "left", { ttlMs: 10_000 });
    const grantedMs = performance.now();
    for (let n = 0; n < 5; n++) {
      const seen = (await holder(backend, "left"))?.remainingMs ?? 0;
      // It ends by the store's clock at the latest this long after it was granted.
      expect(seen).toBeLessThanOrEqual(10_000 - (performance.now() - grantedMs) + 50);
      await pause(150);
    }
    const sinceMs = performance.now() - startedMs;
    expect(lease.remainingMs).toBeGreaterThan(10_000 - sinceMs);
  });

  it("a lease that etcd has ended is lost at the next renewal, and stays lost", async () => {
    await using backend = await open(server.address);
    const lease = await take(backend, "revoked");
    const { lease: etcdLease = "" } = (await stored("revoked")) ?? {};
    await admin.leaseClient.leaseRevoke({ ID: etcdLease });
    expect(outcome((await backend.renew([{ ...lease, ttlMs: undefined }]))[0])).toBe("lost");
    expect(outcome((await backend.renew([{ ...lease, ttlMs: 90_000 }]))[0])).toBe("lost");
    expect(outcome((await backend.acquire([lease]))[0])).toBe("spent");
    expect((await take(backend, "revoked")).token).toBeGreaterThan(lease.token);
  });

  it("a key that another program has put there is neither taken nor removed", async () => {
    await using backend = await open(server.address);
    const values = ["", "deadbeef", "null", '{"leaseId":"x"}'];
    for (const [n, value] of values.entries()) {
      await admin.put(keyOf(`foreign/${String(n)}`)).value(value);
    }
    const mine = ask("foreign/mine");
    const asks = [mine, ...values.map((_, n) => ask(`foreign/${String(n)}`))];
    const [own, ...others] = await backend.acquire(asks);
    expect(own?.kind).toBe("granted");
    for (const answer of others) {
      expect(outcome(answer)).toMatch(/stormlock\/held\/foreign.*is not Stormlock's: give/u);
    }
    const [released] = await backend.release([{ resource: "foreign/0", leaseId: newLeaseId() }]);
    expect(released?.kind).toBe("failed");
    await expect(holder(backend, "foreign/1")).rejects.toThrow(/not Stormlock's/u);
    expect((await stored("foreign/1"))?.value.toString()).toBe("deadbeef");
    const answers = await backend.list({ prefix: "foreign/", after: undefined, limit: 9 });
    expect(answers.map((answer) => [answer.resource, "kind" in answer])).toEqual([
      ...values.map((_, n) => [`foreign/${String(n)}`, true]),
      ["foreign/mine", false],
    ]);
    await admin.delete().prefix("stormlock/held/foreign/");
  });

  it("stores with prefixes of their own never meet", async () => {
    await using one = await open(server.address, { prefix: "one" });
    await using other = await open(server.address, { prefix: "one/two/" });
    const lease = await take(one, "x");
    expect(await holder(other, "x")).toBeUndefined();
    await take(other, "x");
    expect(await one.list({ prefix: "", after: undefined, limit: 10 })).toHaveLength(1);
    expect(outcome((await one.release([lease]))[0])).toBe("released");
    expect(await holder(other, "x")).toBeDefined();
  });
});
