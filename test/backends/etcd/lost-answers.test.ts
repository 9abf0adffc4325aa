import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Backend } from "../../../src/lock/backend.js";
import { EtcdServer } from "../../support/servers/etcd.js";
import { HalfDeaf } from "./half-deaf.js";
import { ask, holder, missing, open, outcome, take } from "./stage.js";

describe.skipIf(missing !== undefined)("etcd, when an answer is lost", () => {
  let server: EtcdServer;
  let network: HalfDeaf;
  let ours: Backend;
  let theirs: Backend;

  beforeAll(async () => {
    server = await EtcdServer.start();
    network = await HalfDeaf.open(server.port);
    ours = await open(network.address);
    theirs = await open(server.address);
  });

  beforeEach(() => {
    network.lost = 0;
  });

  afterAll(async () => {
    await ours[Symbol.asyncDispose]();
    await theirs[Symbol.asyncDispose]();
    await network[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  it("of an acquire: asking again finds the lease, and nobody else gets it", async () => {
    const mine = ask("acquired");
    network.loseAnswerTo(mine.leaseId, 1); // Only the write has it.
    expect(outcome((await ours.acquire([mine]))[0])).toMatch(/is not reachable/u);
    expect(network.lost).toBe(1);

    const granted = await holder(theirs, "acquired");
    expect(granted?.leaseId).toBe(mine.leaseId);
    expect(outcome((await theirs.acquire([ask("acquired")]))[0])).toBe("held");
    const [again] = await ours.acquire([mine]);
    if (again?.kind !== "granted") throw new Error(outcome(again));
    expect(again.created).toBe(false);
    expect(again.lease.token).toBe(granted?.token);
    expect(outcome((await ours.renew([{ ...again.lease, ttlMs: undefined }]))[0])).toBe("renewed");
    expect(outcome((await ours.release([mine]))[0])).toBe("released");
    expect((await take(theirs, "acquired")).token).toBeGreaterThan(again.lease.token);
    expect(outcome((await ours.acquire([mine]))[0])).toBe("held");
  });

  it("of an acquire whose lease was used before: it carries this lock and no other", async () => {
    const first = await take(ours, "reused", { ttlMs: 44_000 });
    await ours.release([first]);
    const mine = ask("reused", { ttlMs: 44_000 });
    network.loseAnswerTo(mine.leaseId, 1);
    expect(outcome((await ours.acquire([mine]))[0])).toMatch(/is not reachable/u);
    await take(ours, "reused/next", { ttlMs: 44_000 });
    const { kvs } = await server.admin().kv.range({
      key: Buffer.from("stormlock/held/reused"),
      range_end: Buffer.from("stormlock/held/reused0"),
    });
    expect(new Set(kvs.map(({ lease }) => lease)).size).toBe(2);
  });

  it("of a renewal: it counts, and asking again renews", async () => {
    const lease = await take(ours, "renewed");
    for (const ttlMs of [undefined, 90_000, 20_000]) {
      network.loseAnswerTo(lease.leaseId, 1);
      expect(outcome((await ours.renew([{ ...lease, ttlMs }]))[0])).toMatch(/is not reachable/u);
      expect(outcome((await theirs.acquire([ask("renewed")]))[0])).toBe("held");
      const [again] = await ours.renew([{ ...lease, ttlMs }]);
      expect(again?.kind === "renewed" && again.lease.token).toBe(lease.token);
    }
    expect(network.lost).toBe(3);
    expect((await holder(theirs, "renewed"))?.remainingMs).toBeGreaterThan(80_000);
  });

  it("of a look, or of a keep-alive: it is asked again at once", async () => {
    const lease = await take(ours, "looked");
    const key = Buffer.from("stormlock/held/looked");
    const { kvs } = await server.admin().kv.range({ key });
    for (const text of [key, leaseBytes(kvs[0]?.lease ?? "")]) {
      network.loseAnswerTo(text, 1);
      expect(outcome((await ours.renew([{ ...lease, ttlMs: undefined }]))[0])).toBe("renewed");
    }
    expect(network.lost).toBe(2);
  });

  it("of a release: it counts, and asking again is harmless", async () => {
    const lease = await take(ours, "released");
    network.loseAnswerTo("stormlock/held/released", 1); // There is no look first.
    expect(outcome((await ours.release([lease]))[0])).toMatch(/is not reachable/u);
    expect(network.lost).toBe(1);
    expect(await holder(theirs, "released")).toBeUndefined();
    expect(outcome((await ours.release([lease]))[0])).toBe("not-held");
    const next = await take(theirs, "released");
    expect(next.token).toBeGreaterThan(lease.token);
    expect(outcome((await ours.release([lease]))[0])).toBe("not-held");
    expect((await holder(ours, "released"))?.token).toBe(next.token);
  });

  it("of a batch: every one of it is found again", async () => {
    const asks = Array.from({ length: 300 }, (_, n) => ask(`batch/${String(n)}`));
    network.loseAnswerTo(asks[150]?.leaseId ?? "", 1);
    const answers = await ours.acquire(asks);
    expect(answers.some(({ kind }) => kind === "failed")).toBe(true);
    const again = await ours.acquire(asks);
    expect(again.every(({ kind }) => kind === "granted")).toBe(true);
    const releases = await ours.release(asks);
    expect(releases.every(({ kind }) => kind === "released")).toBe(true);
  });
});

// How an etcd lease's number looks on the wire: seven bits a byte, the lowest first.
function leaseBytes(id: string): Buffer {
  const bytes: number[] = [];
  for (let rest = BigInt(id); rest > 0n; rest >>= 7n) {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
  }
  return Buffer.from(bytes);
}
