// What a client's own last write has left is a guess (E7).

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backend } from "../../../src/lock/backend.js";
import type { Lease } from "../../../src/lock/lease.js";
import { EtcdServer } from "../../support/servers/etcd.js";
import { limit, SlowClient } from "./slow-client.js";
import { ask, holder, missing, open, take } from "./stage.js";

describe.skipIf(missing !== undefined)("what a client has written last", () => {
  let server: EtcdServer;
  let other: Backend;
  let ours: SlowClient;

  beforeAll(async () => {
    server = await EtcdServer.start();
    other = await open(server.address);
    ours = await SlowClient.open(server);
  });

  afterAll(async () => {
    await other[Symbol.asyncDispose]();
    await ours[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  const taken = async (resource: string): Promise<Lease> => {
    const answer = await ours.locks.acquire(ask(resource), limit());
    if (answer.kind !== "granted") throw new Error(answer.kind);
    return answer.lease;
  };
  const takenAndReleased = async (resource: string): Promise<Lease> => {
    const lease = await taken(resource);
    expect(await ours.locks.release(lease, limit())).toEqual({ kind: "released" });
    return lease;
  };

  it("is not looked up: one look for a resource that is taken and released again and again", async () => {
    const before = ours.transactions.reads;
    let token = 0n;
    for (let times = 0; times < 5; times++) {
      const lease = await takenAndReleased("often");
      expect(lease.token).toBeGreaterThan(token);
      token = lease.token;
    }
    expect(ours.transactions.reads - before).toBe(1);
    expect(await holder(other, "often")).toBeUndefined();
  });

  it("is told to nobody: who asks who holds it, or whether his id is spent, is told what is there", async () => {
    const lease = await taken("told");
    await other.release([lease]);
    const theirs = await take(other, "told", { principal: "bob" });
    const refused = await ours.locks.acquire(ask("told"), limit());
    expect(refused.kind === "held" && refused.holder.leaseId).toBe(theirs.leaseId);
    expect(await ours.locks.release(lease, limit())).toEqual({ kind: "not-held" });
    await other.release([theirs]);
    expect((await ours.locks.acquire(ask("told", lease), limit())).kind).toBe("granted");
  });

  it("was changed by others: who acquires is refused, and no etcd lease is lost by that", async () => {
    await takenAndReleased("changed");
    const theirs = await take(other, "changed", { principal: "bob" });
    const before = await server.leases();
    for (let times = 0; times < 3; times++) {
      const refused = await ours.locks.acquire(ask("changed"), limit());
      expect(refused.kind === "held" && refused.holder.leaseId).toBe(theirs.leaseId);
    }
    expect(await server.leases()).toBe(before);
    await other.release([theirs]);
    expect((await taken("changed")).token).toBeGreaterThan(theirs.token);
  });

  it("was taken and released by others: who acquires has it, with a greater token", async () => {
    await takenAndReleased("passed");
    const theirs = await take(other, "passed", { principal: "bob" });
    await other.release([theirs]);
    const lease = await taken("passed");
    expect(lease.token).toBeGreaterThan(theirs.token);
    expect((await holder(other, "passed"))?.leaseId).toBe(lease.leaseId);
  });

  it("has the same ask granted and released elsewhere: its id is spent here", async () => {
    await takenAndReleased("twice");
    const twice = ask("twice");
    await other.acquire([twice]);
    await other.release([twice]);
    expect((await ours.locks.acquire(twice, limit())).kind).toBe("spent");
    expect(await holder(other, "twice")).toBeUndefined();
  });

  it("is over: who releases hears it, and the next holder is left alone", async () => {
    const lease = await taken("over");
    const { kvs } = await server.admin().kv.range({ key: Buffer.from("stormlock/held/over") });
    await server.admin().leaseClient.leaseRevoke({ ID: kvs[0]?.lease ?? "" });
    const theirs = await take(other, "over", { principal: "bob" });
    expect(await ours.locks.release(lease, limit())).toEqual({ kind: "not-held" });
    expect((await holder(other, "over"))?.leaseId).toBe(theirs.leaseId);
  });

  it("was moved to another etcd lease by others: the release frees that one, not the first", async () => {
    const lease = await taken("moved");
    await other.renew([{ ...lease, ttlMs: 120_000 }]);
    expect(await ours.locks.release(lease, limit())).toEqual({ kind: "released" });
    // The first one is the other's by now: two locks on one etcd lease would end together.
    await taken("moved/ours");
    await take(other, "moved/theirs");
    const { kvs } = await server.admin().kv.range({
      key: Buffer.from("stormlock/held/moved/"),
      range_end: Buffer.from("stormlock/held/moved0"),
    });
    expect(new Set(kvs.map((found) => found.lease)).size).toBe(2);
  });

  it("was renewed by others: a conditional release leaves it", async () => {
    const lease = await taken("renewed");
    await other.renew([{ ...lease, ttlMs: undefined }]);
    const conditional = { ...lease, ifRevision: lease.revision };
    expect(await ours.locks.release(conditional, limit())).toEqual({ kind: "not-held" });
    expect((await holder(other, "renewed"))?.leaseId).toBe(lease.leaseId);
  });
});
