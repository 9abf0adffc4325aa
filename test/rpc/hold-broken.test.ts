import * as grpc from "@grpc/grpc-js";
import { describe, it } from "vitest";
import { systemClock } from "../../src/system-clock.js";
import { MemoryStore, type Faults } from "../support/memory-backend.js";
import { Proxy } from "../support/proxy.js";
import { startDaemon } from "./support/daemon.js";
import { HoldStream, ms, tokenOf } from "./support/hold-stream.js";
import { StockClient } from "./support/stock-client.js";

const { status } = grpc;

const pause = (delayMs: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, delayMs));

describe("a stream that breaks", { concurrent: true }, () => {
  it("releases nothing: resumed on another connection, the lease has the same token", async ({
    expect,
  }) => {
    await using daemon = await startDaemon();
    await using first = new StockClient(daemon.address);
    const broken = new HoldStream(first);
    const leaseId = broken.acquire("x", { ttl: { seconds: 2 } });
    const token = tokenOf(await broken.next("granted"));
    broken.break();
    await expect.poll(() => daemon.holds.streams).toBe(0);
    await pause(1000);
    expect(await daemon.locks.isHeld({ resource: "x", leaseId })).toBe(true);

    await using second = new StockClient(daemon.address);
    const stream = new HoldStream(second);
    stream.heartbeat();
    stream.say("resume", { resource: "x", lease_id: leaseId });
    const granted = await stream.next("granted");
    expect(tokenOf(granted)).toBe(token);
    expect(ms(granted["valid_for"])).toBeGreaterThan(1800);
    for (let beat = 0; beat < 5; beat++) {
      await pause(500);
      stream.heartbeat();
    }
    expect(await daemon.locks.isHeld({ resource: "x", leaseId })).toBe(true);
    stream.say("release", { resource: "x", lease_id: leaseId });
    expect(await stream.next("released")).toMatchObject({ outcome: "RELEASE_OUTCOME_RELEASED" });
    stream.break();
  });

  it("has its lease resumed on another daemon, with the same token", async ({ expect }) => {
    const store = new MemoryStore(systemClock);
    await using one = await startDaemon({}, store.open());
    await using two = await startDaemon({}, store.open());
    await using toOne = new StockClient(one.address);
    const broken = new HoldStream(toOne);
    const leaseId = broken.acquire("x");
    const token = tokenOf(await broken.next("granted"));
    broken.break();
    await using toTwo = new StockClient(two.address);
    const stream = new HoldStream(toTwo);
    stream.heartbeat();
    stream.say("resume", { resource: "x", lease_id: leaseId });
    expect(tokenOf(await stream.next("granted"))).toBe(token);
    stream.break();
  });

  it("tells the old stream, if it lives, that another one has resumed its lease", async ({
    expect,
  }) => {
    await using daemon = await startDaemon();
    await using client = new StockClient(daemon.address);
    const old = new HoldStream(client);
    const leaseId = old.acquire("x");
    await old.next("granted");
    const stream = new HoldStream(client);
    stream.heartbeat();
    stream.say("resume", { resource: "x", lease_id: leaseId });
    await stream.next("granted");
    expect(await old.next("lost")).toMatchObject({
      ...{ resource: "x", lease_id: leaseId, cause: "LOSS_CAUSE_RESUMED_ELSEWHERE" },
    });
    expect(daemon.holds.leases).toBe(1);
    old.break();
    stream.break();
  });

  it("leaves the queue at once, and the next in line is not delayed", async () => {
    await using daemon = await startDaemon();
    await using client = new StockClient(daemon.address);
    const holder = new HoldStream(client);
    const held = holder.acquire("x");
    await holder.next("granted");
    await using proxy = await Proxy.open(daemon.address);
    await using dying = new StockClient(proxy.address);
    const gone = new HoldStream(dying);
    gone.acquire("x");
    await gone.next("queued");
    const next = new HoldStream(client);
    next.acquire("x");
    await next.next("queued", { position: 2 });
    proxy.cut();
    await next.next("queued", { position: 1 });
    holder.say("release", { resource: "x", lease_id: held });
    await next.next("granted");
    holder.break();
    next.break();
  });
});

describe("a grant that comes when its stream has gone", { concurrent: true }, () => {
  const slowly: Faults = ({ method }) => (method === "acquire" ? { afterMs: 300 } : undefined);

  it("is taken back", async ({ expect }) => {
    const store = new MemoryStore(systemClock);
    await using daemon = await startDaemon({}, store.open(slowly));
    await using client = new StockClient(daemon.address);
    const stream = new HoldStream(client);
    stream.acquire("x", { ttl: { seconds: 60 } });
    await expect.poll(() => store.current("x")).toBeDefined();
    stream.break();
    await expect.poll(() => store.current("x")).toBeUndefined();
  });

  it("is taken back too when the wait for it was released in the meantime", async ({ expect }) => {
    const store = new MemoryStore(systemClock);
    await using daemon = await startDaemon({}, store.open(slowly));
    await using client = new StockClient(daemon.address);
    const stream = new HoldStream(client);
    const leaseId = stream.acquire("x", { ttl: { seconds: 60 } });
    await expect.poll(() => store.current("x")).toBeDefined();
    stream.say("release", { resource: "x", lease_id: leaseId });
    await stream.next("released");
    await expect.poll(() => store.current("x")).toBeUndefined();
    expect(stream.told.map(({ kind }) => kind)).not.toContain("granted");
    stream.break();
  });

  it("is kept when the same id was asked for again, here or elsewhere", async ({ expect }) => {
    const store = new MemoryStore(systemClock);
    await using slow = await startDaemon({}, store.open(slowly));
    await using other = await startDaemon({}, store.open());
    await using toSlow = new StockClient(slow.address);
    await using toOther = new StockClient(other.address);
    for (const [resource, client] of [
      ["here", toSlow],
      ["elsewhere", toOther],
    ] as const) {
      const gone = new HoldStream(toSlow);
      const leaseId = gone.acquire(resource, { ttl: { seconds: 60 } });
      await expect.poll(() => store.current(resource)).toBeDefined();
      gone.break();
      const stream = new HoldStream(client);
      stream.acquire(resource, { lease_id: leaseId, ttl: { seconds: 60 } });
      await stream.next("granted");
      await pause(500);
      expect(store.current(resource)?.leaseId).toBe(leaseId);
      stream.break();
    }
  });
});

describe("a store that does not answer", { concurrent: true }, () => {
  it("makes leases late, then lost; and those that it renews again in time are kept", async ({
    expect,
  }) => {
    let isDown = false;
    const store = new MemoryStore(systemClock);
    const faults: Faults = ({ method, resources }) =>
      isDown && method === "renew" && resources.includes("x") ? { fail: "before" } : undefined;
    await using daemon = await startDaemon({}, store.open(faults));
    await using client = new StockClient(daemon.address);
    const stream = new HoldStream(client);
    const leaseId = stream.acquire("x", { ttl: { seconds: 2 } });
    await stream.next("granted");
    isDown = true;
    await pause(1100);
    const late = stream.heartbeat();
    const ack = await stream.next("heartbeat_ack", { seq: String(late) });
    expect(ack["behind"]).toMatchObject([{ lease_id: leaseId }]);
    isDown = false;
    // The same heartbeat is acknowledged once more when the late one has been renewed.
    const again = await stream.next("heartbeat_ack", { seq: String(late) });
    expect(again).toMatchObject({ behind: [] });
    isDown = true;
    const untilMs = performance.now() + 2500;
    while (performance.now() < untilMs) {
      stream.heartbeat();
      await pause(250);
    }
    expect(await stream.next("lost")).toMatchObject({ cause: "LOSS_CAUSE_EXPIRED" });
    expect(store.current("x")).toBeUndefined();
    stream.break();
  });
});

describe("a daemon that drains", { concurrent: true }, () => {
  it("says so; leases are carried on elsewhere, and it is gone as soon as holders are", async ({
    expect,
  }) => {
    const store = new MemoryStore(systemClock);
    const one = await startDaemon({}, store.open());
    await using two = await startDaemon({}, store.open());
    await using toOne = new StockClient(one.address);
    await using toTwo = new StockClient(two.address);
    const holder = new HoldStream(toOne);
    const leaseId = holder.acquire("x", { ttl: { seconds: 6 } });
    const token = tokenOf(await holder.next("granted"));
    const waiter = new HoldStream(toOne);
    const wished = waiter.acquire("x");
    await waiter.next("queued");

    const drained = one.server.drain();
    const startedMs = performance.now();
    expect(ms((await holder.next("draining"))["resume_within"])).toBe(1600);
    expect(await waiter.next("denied")).toMatchObject({
      ...{ lease_id: wished, reason: "DENIAL_REASON_UNAVAILABLE" },
    });
    await waiter.next("draining");
    const late = new HoldStream(toOne);
    late.heartbeat();
    expect(await late.over).toMatchObject({ code: status.UNAVAILABLE });
    const stream = new HoldStream(toTwo);
    stream.heartbeat();
    stream.say("resume", { resource: "x", lease_id: leaseId });
    expect(tokenOf(await stream.next("granted"))).toBe(token);
    const again = new HoldStream(toTwo);
    again.acquire("x", { lease_id: wished });
    await again.next("queued", { position: 1 });
    holder.call.end();
    waiter.call.end();
    await drained;
    expect(performance.now() - startedMs).toBeLessThan(1500);
    stream.say("release", { resource: "x", lease_id: leaseId });
    await again.next("granted");
    stream.break();
    again.break();
  });

  it("ends the streams of those who stay, within a third of the shortest ttl; loses nothing", async ({
    expect,
  }) => {
    const store = new MemoryStore(systemClock);
    const daemon = await startDaemon({}, store.open());
    await using client = new StockClient(daemon.address);
    const deaf = new HoldStream(client);
    deaf.acquire("z", { ttl: { seconds: 60 } });
    await deaf.next("granted");
    deaf.call.pause();
    const name = "n".repeat(190);
    while (deaf.call.write({ resume: { resource: name, lease_id: "0".repeat(32) } })) {
      await pause(0);
    }
    const stubborn = new HoldStream(client);
    const leaseId = stubborn.acquire("x", { ttl: { seconds: 3 } });
    await stubborn.next("granted");
    stubborn.acquire("y", { ttl: { seconds: 60 } });
    await stubborn.next("granted");
    const startedMs = performance.now();
    await daemon.server.drain();
    expect(performance.now() - startedMs).toBeGreaterThan(750);
    expect(performance.now() - startedMs).toBeLessThan(1000 + 300);
    expect(await stubborn.over).toMatchObject({
      ...{ code: status.UNAVAILABLE, reason: "UNAVAILABLE" },
    });
    expect(store.current("x")?.leaseId).toBe(leaseId);
    deaf.break();
  });
});

it("no lease id stands in any line of the log, however a stream ends", async ({ expect }) => {
  const leaseId = "5ec2e7f00d5ec2e7f00d5ec2e7f00d55";
  const daemon = await startDaemon();
  await using client = new StockClient(daemon.address);
  const says = async (
    ...messages: (readonly [string, Readonly<Record<string, unknown>>])[]
  ): Promise<void> => {
    const stream = new HoldStream(client);
    stream.heartbeat();
    for (const [kind, fields] of messages) stream.say(kind, fields);
    await pause(50);
    stream.say("heartbeat", { seq: 1 });
    await stream.over;
  };
  const name = { resource: "x", lease_id: leaseId };
  await says(["acquire", { ...name, ttl: { seconds: 60 } }], ["acquire", name]);
  await says(["resume", name], ["release", name], ["acquire", name]);
  await says(["acquire", { resource: leaseId, lease_id: `${leaseId}\n` }], ["resume", {}]);
  const renew = daemon.locks.keep.bind(daemon.locks);
  daemon.locks.keep = () => Promise.reject(new Error(`duplicate key (${leaseId})`));
  await says(["resume", name]);
  daemon.locks.keep = renew;
  await daemon[Symbol.asyncDispose]();
  expect(daemon.log.filter((line) => line.includes("/Hold")).length).toBe(4);
  expect(daemon.log.filter((line) => line.includes(leaseId))).toEqual([]);
});
