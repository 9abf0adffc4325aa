import * as grpc from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startDaemon, type Daemon } from "./support/daemon.js";
import { HoldStream, ms, tokenOf } from "./support/hold-stream.js";
import {
  callHeaders,
  END_HEADERS,
  frame,
  FRAME,
  grpcMessage,
  PREFACE,
  Raw,
} from "./support/raw.js";
import { StockClient } from "./support/stock-client.js";

const { status } = grpc;

let daemon: Daemon;
let client: StockClient;

beforeEach(async () => {
  daemon = await startDaemon();
  client = new StockClient(daemon.address);
});
afterEach(async () => {
  await client[Symbol.asyncDispose]();
  await daemon[Symbol.asyncDispose]();
});

const open = (): HoldStream => new HoldStream(client);

describe("a Hold stream", () => {
  it("is answered with headers before anything is said on it", async () => {
    const stream = open();
    await stream.headers;
    expect(stream.told).toEqual([]);
    stream.break();
  });

  it("takes a lock, keeps it beyond its ttl by heartbeats alone, and releases it", async () => {
    const stream = open();
    const leaseId = stream.acquire("x", { ttl: { seconds: 1 }, principal: "ann", reason: "why" });
    const granted = await stream.next("granted");
    expect(granted["lease"]).toMatchObject({
      ...{ resource: "x", lease_id: leaseId, principal: "ann", reason: "why" },
    });
    expect(granted["seq"]).toBe("1");
    expect(ms(granted["valid_for"])).toBeGreaterThan(900);
    expect(ms(granted["valid_for"])).toBeLessThanOrEqual(1000 + 100);
    for (let beat = 0; beat < 8; beat++) {
      const seq = stream.heartbeat();
      const ack = await stream.next("heartbeat_ack", { seq: String(seq) });
      expect(ack["valid_share"]).toBeGreaterThan(0.5);
      expect(ack["behind"]).toEqual([]);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    expect(await daemon.locks.isHeld({ resource: "x", leaseId })).toBe(true);
    stream.say("release", { resource: "x", lease_id: leaseId });
    const released = await stream.next("released");
    expect(released).toMatchObject({
      ...{ resource: "x", lease_id: leaseId, outcome: "RELEASE_OUTCOME_RELEASED" },
    });
    expect(await daemon.locks.current("x")).toBeUndefined();
    stream.call.end();
    expect((await stream.over).code).toBe(status.OK);
  });

  it("queues, says where one stands and behind whom, and grants in the order of arrival", async () => {
    const holder = open();
    const held = holder.acquire("x", { principal: "ann", reason: "release 4.2" });
    const first = tokenOf(await holder.next("granted"));
    const second = open();
    second.acquire("x", { ttl: { seconds: 7 } });
    expect(await second.next("queued")).toMatchObject({
      ...{ resource: "x", position: 1, ttl: { seconds: "7" } },
      holder: { principal: "ann", reason: "release 4.2", lease_id: "" },
    });
    const third = open();
    third.acquire("x");
    expect(await third.next("queued")).toMatchObject({ position: 2 });

    // Time in the queue is not held: the grant echoes the heartbeat that came last.
    const seq = second.heartbeat();
    await second.next("heartbeat_ack", { seq: String(seq) });
    holder.say("release", { resource: "x", lease_id: held });
    const granted = await second.next("granted");
    expect(granted["seq"]).toBe(String(seq));
    expect(tokenOf(granted)).toBeGreaterThan(first);
    expect(await third.next("queued", { position: 1 })).toBeDefined();
    expect(third.told.map(({ kind }) => kind)).not.toContain("granted");
    // At most one a second.
    expect(third.told.filter(({ kind }) => kind === "queued").length).toBeLessThanOrEqual(3);
    second.break();
    third.break();
    holder.break();
  });

  it("may leave the queue by a release, and delays nobody by that", async () => {
    const holder = open();
    const held = holder.acquire("x");
    await holder.next("granted");
    const leaver = open();
    const wished = leaver.acquire("x");
    await leaver.next("queued");
    const last = open();
    last.acquire("x");
    await last.next("queued", { position: 2 });
    leaver.say("release", { resource: "x", lease_id: wished });
    expect(await leaver.next("released")).toMatchObject({
      outcome: "RELEASE_OUTCOME_NOT_HELD",
    });
    await last.next("queued", { position: 1 });
    holder.say("release", { resource: "x", lease_id: held });
    await last.next("granted");
    expect(leaver.told.map(({ kind }) => kind)).not.toContain("granted");
    for (const stream of [holder, leaver, last]) stream.break();
  });

  it("keeps many leases by one heartbeat", async () => {
    const stream = open();
    const ids = Array.from({ length: 200 }, (_, at) =>
      stream.acquire(`many/${String(at)}`, { ttl: { seconds: 4 } }),
    );
    await expect
      .poll(() => stream.told.filter(({ kind }) => kind === "granted").length, { timeout: 15_000 })
      .toBe(ids.length);
    for (let beat = 0; beat < 5; beat++) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const seq = stream.heartbeat();
      const ack = await stream.next("heartbeat_ack", { seq: String(seq) });
      expect(ack["behind"]).toEqual([]);
      expect(ack["valid_share"]).toBeGreaterThan(0.5);
    }
    const held = await Promise.all(
      ids.map((leaseId, at) => daemon.locks.isHeld({ resource: `many/${String(at)}`, leaseId })),
    );
    expect(held).not.toContain(false);
    stream.break();
  });
});

describe("what is refused on a stream, while the stream goes on", () => {
  async function denied(fields: object, reason: string, message: RegExp): Promise<void> {
    const holder = open();
    holder.acquire("held", { principal: "ann" });
    await holder.next("granted");
    const stream = open();
    stream.acquire("good");
    await stream.next("granted");
    stream.acquire("held", { wait: { seconds: 0 }, ...fields });
    const told = await stream.next("denied");
    expect(told["reason"]).toBe(reason);
    expect(told["message"]).toMatch(message);
    const seq = stream.heartbeat();
    await stream.next("heartbeat_ack", { seq: String(seq) });
    stream.break();
    holder.break();
  }

  it("a lock that is held, where one does not wait: its holder is named, without an id", async () => {
    const holder = open();
    holder.acquire("x", { principal: "ann" });
    await holder.next("granted");
    const stream = open();
    const leaseId = stream.acquire("x", { wait: { seconds: 0 } });
    expect(await stream.next("denied")).toMatchObject({
      ...{ resource: "x", lease_id: leaseId, reason: "DENIAL_REASON_LOCK_HELD" },
      holder: { principal: "ann", lease_id: "" },
    });
    stream.acquire("x", { wait: { seconds: 1 } });
    const askedMs = performance.now();
    await stream.next("denied", { reason: "DENIAL_REASON_LOCK_HELD" });
    expect(performance.now() - askedMs).toBeGreaterThan(900);
    stream.break();
    holder.break();
  });

  it.each([
    ["an empty name", { resource: "" }, /resource/u],
    ["a control character", { resource: "a\nb" }, /resource/u],
    ["no lease id", { lease_id: "" }, /lease_id|lease id/u],
    ["a ttl of nothing", { ttl: { seconds: 0 } }, /ttl/u],
    ["a ttl below the least", { ttl: { nanos: 999_000_000 } }, /ttl.*1s/u],
    ["a ttl beyond the limit", { ttl: { seconds: 32 * 86_400 } }, /ttl/u],
    ["a negative wait", { wait: { seconds: -1 } }, /wait/u],
    ["a huge reason", { reason: "x".repeat(257) }, /reason/u],
  ] as const)("%s", async (_name, fields, message) => {
    await denied(fields, "DENIAL_REASON_INVALID_FIELD", message);
  });

  it("a lease id that was used up", async () => {
    const stream = open();
    const leaseId = stream.acquire("x");
    await stream.next("granted");
    stream.say("release", { resource: "x", lease_id: leaseId });
    await stream.next("released");
    stream.acquire("x", { lease_id: leaseId });
    expect(await stream.next("denied")).toMatchObject({ reason: "DENIAL_REASON_LEASE_LOST" });
    stream.acquire("x");
    await stream.next("granted");
    stream.break();
  });

  it("a resource that the stream holds or awaits already", async () => {
    const other = open();
    other.acquire("awaited");
    await other.next("granted");
    const stream = open();
    const held = stream.acquire("x");
    await stream.next("granted");
    stream.acquire("x");
    expect(await stream.next("denied")).toMatchObject({
      ...{ resource: "x", reason: "DENIAL_REASON_ALREADY_ON_STREAM" },
    });
    expect(await daemon.locks.isHeld({ resource: "x", leaseId: held })).toBe(true);
    const awaited = stream.acquire("awaited");
    await stream.next("queued");
    const twice = stream.acquire("awaited");
    expect(await stream.next("denied")).toMatchObject({
      ...{ lease_id: twice, reason: "DENIAL_REASON_ALREADY_ON_STREAM" },
    });
    other.break();
    stream.say("release", { resource: "awaited", lease_id: awaited });
    await stream.next("released");
    stream.break();
  });

  it("a repeated acquire with the id it has is answered with the same token", async () => {
    const stream = open();
    const leaseId = stream.acquire("x");
    const first = tokenOf(await stream.next("granted"));
    stream.acquire("x", { lease_id: leaseId });
    expect(tokenOf(await stream.next("granted"))).toBe(first);
    stream.break();
  });

  it("the resume of a stranger's, a dead or an unknown lease, which is Lost", async () => {
    const holder = open();
    const theirs = holder.acquire("x");
    await holder.next("granted");
    const stream = open();
    stream.heartbeat();
    const resume = async (resource: string, leaseId: string): Promise<unknown> => {
      stream.heartbeat();
      stream.say("resume", { resource, lease_id: leaseId });
      return (await stream.next("lost", { resource, lease_id: leaseId }))["cause"];
    };
    expect(await resume("x", "0".repeat(32))).toBe("LOSS_CAUSE_NOT_HELD");
    expect(await resume("never", theirs)).toBe("LOSS_CAUSE_NOT_HELD");
    expect(await daemon.locks.isHeld({ resource: "x", leaseId: theirs })).toBe(true);
    holder.say("release", { resource: "x", lease_id: theirs });
    await holder.next("released");
    expect(await resume("x", theirs)).toBe("LOSS_CAUSE_NOT_HELD");
    expect(await daemon.locks.current("x")).toBeUndefined();
    holder.break();
    stream.break();
  });

  it("the release of a stranger's lease, which ends nothing", async () => {
    const holder = open();
    const theirs = holder.acquire("x");
    await holder.next("granted");
    const stream = open();
    stream.heartbeat();
    stream.say("release", { resource: "x", lease_id: "0".repeat(32) });
    expect(await stream.next("released")).toMatchObject({ outcome: "RELEASE_OUTCOME_NOT_HELD" });
    expect(await daemon.locks.isHeld({ resource: "x", leaseId: theirs })).toBe(true);
    stream.break();
    holder.break();
  });
});

describe("what ends a stream", () => {
  const INVALID = { code: status.INVALID_ARGUMENT, reason: "INVALID_FIELD" };

  it("anything before the first heartbeat", async () => {
    const stream = open();
    stream.say("acquire", { resource: "x", lease_id: "0".repeat(32), ttl: { seconds: 5 } });
    const over = await stream.over;
    expect(over).toMatchObject({ ...INVALID, field: "kind" });
    expect(over.details).toMatch(/acquire came before the first heartbeat/u);
    expect(await daemon.locks.current("x")).toBeUndefined();
  });

  it.each([
    ["goes backwards", [5, 4]],
    ["is repeated", [5, 5]],
    ["begins with 0", [0]],
  ])("a heartbeat that %s; what it holds is not released", async (_name, seqs) => {
    const stream = open();
    let leaseId: string | undefined;
    for (const [at, seq] of seqs.entries()) {
      stream.say("heartbeat", { seq });
      if (at > 0 || seqs.length === 1) continue;
      leaseId = "1".repeat(32);
      stream.say("acquire", { resource: "x", lease_id: leaseId, ttl: { seconds: 5 } });
      await stream.next("granted");
    }
    const over = await stream.over;
    expect(over).toMatchObject({ ...INVALID, field: "seq" });
    expect(over.details).toMatch(/heartbeat [045] came after heartbeat [05]/u);
    if (leaseId !== undefined) {
      expect(await daemon.locks.isHeld({ resource: "x", leaseId })).toBe(true);
    }
  });

  it("a heartbeat whose number cannot be echoed", async () => {
    const stream = open();
    stream.say("heartbeat", { seq: "18446744073709551615" });
    const over = await stream.over;
    expect(over).toMatchObject({ ...INVALID, field: "seq" });
    expect(over.details).toBe(
      "heartbeat 18446744073709551615 is beyond 9007199254740991; count from 1",
    );
  });

  it("a message that says nothing", async () => {
    const stream = open();
    stream.heartbeat();
    stream.call.write({});
    expect(await stream.over).toMatchObject({ ...INVALID, field: "kind" });
  });

  it("bytes that are no message, and a message that is too large", async () => {
    for (const [bytes, field] of [
      [Buffer.from([0xff, 0xff, 0xff]), "request"],
      [Buffer.alloc(65 * 1024), "request"],
    ] as const) {
      const call = client.client.makeBidiStreamRequest(
        "/stormlock.v1.LockService/Hold",
        (raw: Buffer) => raw,
        (raw) => raw,
      );
      const ended = new Promise<grpc.ServiceError>((resolve) => call.once("error", resolve));
      call.on("data", () => undefined);
      call.write(bytes);
      expect((await ended).code, field).toBe(status.INVALID_ARGUMENT);
    }
  });

  it("a connection that dies in the middle of a message; nothing is left of it", async () => {
    const raw = new Raw(daemon.port);
    await raw.send(PREFACE, frame(FRAME.headers, END_HEADERS, 1, callHeaders("Hold")));
    const beat = grpcMessage(Buffer.from("\u0022\u0002\u0008\u0001"));
    await raw.send(frame(FRAME.data, 0, 1, beat), frame(FRAME.data, 0, 1, beat.subarray(0, 4)));
    await expect.poll(() => daemon.holds.streams).toBe(1);
    raw.socket.destroy();
    await expect.poll(() => daemon.holds.streams).toBe(0);
  });

  it("the end of the client's side: nothing is released, and the lease ends with its ttl", async () => {
    const stream = open();
    const leaseId = stream.acquire("x", { ttl: { seconds: 1 } });
    await stream.next("granted");
    stream.call.end();
    expect((await stream.over).code).toBe(status.OK);
    expect(await daemon.locks.isHeld({ resource: "x", leaseId })).toBe(true);
    await expect.poll(() => daemon.locks.current("x"), { timeout: 1500 }).toBeUndefined();
  });
});
