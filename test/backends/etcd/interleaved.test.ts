// Two clients, one of which is stopped between its look and its write.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backend } from "../../../src/lock/backend.js";
import { newLeaseId, type Lease } from "../../../src/lock/lease.js";
import { EtcdServer } from "../../support/servers/etcd.js";
import { limit, SlowClient } from "./slow-client.js";
import { ask, holder, missing, open, take } from "./stage.js";

describe.skipIf(missing !== undefined)("between a look and a write", () => {
  let server: EtcdServer;
  let other: Backend;
  let slow: SlowClient;

  beforeAll(async () => {
    server = await EtcdServer.start();
    other = await open(server.address);
    slow = await SlowClient.open(server);
  });

  afterAll(async () => {
    await other[Symbol.asyncDispose]();
    await slow[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  const handOver = async (lease: Lease): Promise<Lease> => {
    await other.release([lease]);
    return take(other, lease.resource, { principal: "bob" });
  };

  it("another takes what was free: it is held, and no etcd lease is lost", async () => {
    let theirs: Lease | undefined;
    slow.transactions.before = async () => (theirs = await take(other, "taken"));
    const before = await server.leases();
    const answer = await slow.locks.acquire(ask("taken"), limit());
    expect(answer.kind === "held" && answer.holder.leaseId).toBe(theirs?.leaseId);
    const after = await server.leases();
    expect(after).toBe(before + 2);
    // The loser's is used for the next.
    expect((await slow.locks.acquire(ask("taken/next"), limit())).kind).toBe("granted");
    expect(await server.leases()).toBe(after);
  });

  it("the same ask elsewhere is granted and released: its id is spent here", async () => {
    const twice = ask("twice");
    slow.transactions.before = async () => {
      await other.acquire([twice]);
      await other.release([twice]);
    };
    expect((await slow.locks.acquire(twice, limit())).kind).toBe("spent");
    expect(await holder(other, "twice")).toBeUndefined();
  });

  it("the lock changes hands: the release leaves the new holder alone", async () => {
    const lease = await take(other, "handed");
    let next: Lease | undefined;
    slow.transactions.before = async () => (next = await handOver(lease));
    expect(await slow.locks.release(lease, limit())).toEqual({ kind: "not-held" });
    expect((await holder(other, "handed"))?.revision).toBe(next?.revision);
  });

  it("the lock changes hands: the renewal is told that it is lost", async () => {
    for (const ttlMs of [undefined, 30_000, 90_000]) {
      const lease = await take(other, `lost/${String(ttlMs)}`);
      let next: Lease | undefined;
      slow.transactions.before = async () => (next = await handOver(lease));
      const renewal = { ...lease, ttlMs };
      // With 30 s there is nothing to write before the end is near.
      expect(await slow.locks.renew(renewal, limit())).toEqual({ kind: "lost" });
      expect((await holder(other, lease.resource))?.revision).toBe(next?.revision);
    }
  });

  it("the lock moves to another etcd lease: renewal and release follow it", async () => {
    const lease = await take(other, "moved");
    const longer = { ...lease, ttlMs: 120_000 };
    slow.transactions.before = () => other.renew([longer]);
    const renewed = await slow.locks.renew({ ...lease, ttlMs: undefined }, limit());
    expect(renewed.kind === "renewed" && renewed.lease.ttlMs).toBe(120_000);
    slow.transactions.before = () => other.renew([{ ...lease, ttlMs: 240_000 }]);
    expect(await slow.locks.release(lease, limit())).toEqual({ kind: "released" });
    expect(await holder(other, "moved")).toBeUndefined();
  });

  it("the lock is renewed: a conditional release leaves it", async () => {
    const lease = await take(other, "touched");
    slow.transactions.before = () => other.renew([{ ...lease, ttlMs: undefined }]);
    const conditional = { ...lease, ifRevision: lease.revision };
    expect(await slow.locks.release(conditional, limit())).toEqual({ kind: "not-held" });
    expect((await holder(other, "touched"))?.token).toBe(lease.token);
  });

  it("the leader changes after it kept the lease alive: the new one is asked too", async () => {
    await using cluster = await EtcdServer.start({ members: 3 });
    await using patient = await SlowClient.open(cluster);
    const members = cluster.members.map(({ address }) => cluster.admin({ hosts: address }));
    const moveLeader = async (): Promise<void> => {
      const leader = cluster.members.indexOf(await cluster.leader());
      const next = await members[(leader + 1) % 3]?.maintenance.status();
      await members[leader]?.maintenance.moveLeader({ targetID: next?.header.member_id ?? "" });
      await new Promise((wake) => setTimeout(wake, 1500));
    };
    const lease = await patient.locks.acquire(ask("deposed", { ttlMs: 20_000 }), limit());
    if (lease.kind !== "granted") throw new Error(lease.kind);
    for (const ttlMs of [undefined, 10_000]) {
      patient.transactions.before = moveLeader;
      const renewed = await patient.locks.renew({ ...lease.lease, ttlMs }, limit());
      if (renewed.kind !== "renewed") throw new Error(renewed.kind);
      expect(renewed.lease.token).toBe(lease.lease.token);
      // What the first one said was a second and a half old by now.
      if (ttlMs === undefined) expect(renewed.lease.remainingMs).toBeGreaterThan(19_000);
    }
    await patient.locks.release(lease.lease, limit());
    // Its etcd lease is used again: it was kept alive for this by the old leader.
    patient.transactions.before = moveLeader;
    const next = await patient.locks.acquire(ask("deposed", { ttlMs: 20_000 }), limit());
    if (next.kind !== "granted") throw new Error(next.kind);
    expect(next.created).toBe(true);
    expect(next.lease.remainingMs).toBeGreaterThan(19_000);
  });

  it("etcd ends the lease after it was kept alive: the renewal is told that it is lost", async () => {
    const lease = await take(other, "ended");
    const admin = server.admin();
    const { kvs } = await admin.kv.range({ key: Buffer.from("stormlock/held/ended") });
    slow.transactions.before = () => admin.leaseClient.leaseRevoke({ ID: kvs[0]?.lease ?? "" });
    expect(await slow.locks.renew({ ...lease, ttlMs: undefined }, limit())).toEqual({
      kind: "lost",
    });
  });

  it("the etcd lease that was to carry the lock ends: another one does", async () => {
    const admin = server.admin();
    const known = new Set((await admin.leaseClient.leaseLeases()).leases.map(({ ID }) => ID));
    slow.transactions.before = async () => {
      const { leases } = await admin.leaseClient.leaseLeases();
      for (const { ID } of leases) if (!known.has(ID)) await admin.leaseClient.leaseRevoke({ ID });
    };
    const fresh = ask("carried", { ttlMs: 33_000, leaseId: newLeaseId() });
    const answer = await slow.locks.acquire(fresh, limit());
    expect(answer.kind === "granted" && answer.created).toBe(true);
    expect((await holder(other, "carried"))?.leaseId).toBe(fresh.leaseId);
  });
});
