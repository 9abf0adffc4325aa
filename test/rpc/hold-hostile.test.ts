import { durationFromMs } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/system-clock.js";
import { Proxy } from "../support/proxy.js";
import { startDaemon, type Daemon } from "./support/daemon.js";
import { HoldStream } from "./support/hold-stream.js";
import { bytesInUse, MIB } from "./support/memory-use.js";
import { RawHold, type Said } from "./support/raw-hold.js";
import { StockClient } from "./support/stock-client.js";

const { status } = grpc;

let daemon: Daemon;

beforeEach(async () => {
  daemon = await startDaemon({ pings: { everyMs: 500, timeoutMs: 500 } });
});
afterEach(() => daemon[Symbol.asyncDispose]());

/** A holder who minds his own business, and how long the daemon lets him wait at the most. */
class Witness implements AsyncDisposable {
  longestMs = 0;
  beats = 0;
  readonly #client = new StockClient(daemon.address);
  readonly #stream = new HoldStream(this.#client);
  readonly #leaseId = this.#stream.acquire("witness", { ttl: { seconds: 3 } });
  readonly #isOver = new AbortController();
  #running = Promise.resolve();

  static async begin(): Promise<Witness> {
    const witness = new Witness();
    await witness.#stream.next("granted");
    witness.#running = witness.#run();
    return witness;
  }

  /** @throws when his lease has been lost */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver.abort();
    try {
      await this.#running;
      const name = { resource: "witness", leaseId: this.#leaseId };
      expect(await daemon.locks.isHeld(name)).toBe(true);
    } finally {
      this.#stream.break();
      await this.#client[Symbol.asyncDispose]();
    }
  }

  async #run(): Promise<void> {
    while (!this.#isOver.signal.aborted) {
      const askedMs = performance.now();
      const seq = this.#stream.heartbeat();
      await this.#stream.next("heartbeat_ack", { seq: String(seq) });
      this.longestMs = Math.max(this.longestMs, performance.now() - askedMs);
      this.beats += 1;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

describe("a stream that floods", () => {
  const heartbeat = (seq: number): Said => ({
    kind: { case: "heartbeat", value: { seq: BigInt(seq) } },
  });
  const resume = (at: number): Said => ({
    kind: { case: "resume", value: { resource: `r/${String(at)}`, leaseId: "0".repeat(32) } },
  });
  const acquire = (resource: string, at: number): Said => ({
    kind: {
      case: "acquire",
      value: { resource, leaseId: String(at), ttl: durationFromMs(60_000) },
    },
  });

  it.each([
    ["heartbeats", 100_000, (at: number) => heartbeat(2 + at)],
    ["resumes of leases that are not there", 30_000, resume],
    ["acquires that are no good", 30_000, (at: number) => acquire("", at)],
  ] as const)("with %s is served, in bounded memory, and others go on", async (...flood) => {
    const [, messages, message] = flood;
    await using witness = await Witness.begin();
    await using hold = new RawHold(daemon.address);
    await hold.say(heartbeat(1));
    const before = await bytesInUse();
    for (let at = 0; at < messages; at += 1000) {
      await hold.say(...Array.from({ length: 1000 }, (_, index) => message(at + index)));
      if (at % 10_000 === 0) expect(await bytesInUse()).toBeLessThan(before + 40 * MIB);
    }
    await hold.end();
    expect(daemon.holds.streams).toBe(1);
    expect(witness.longestMs).toBeLessThan(1000);
    expect(witness.beats).toBeGreaterThan(3);
  });

  it("gets ten thousand leases and no more, and is served in turns with others", async () => {
    await using witness = await Witness.begin();
    let granted = 0;
    const denied: string[] = [];
    let acked = 0n;
    let acks = 0;
    await using hold = new RawHold(daemon.address, (answer) => {
      if (answer.case === "granted") granted += 1;
      if (answer.case === "denied") denied.push(answer.value.message);
      if (answer.case === "heartbeatAck") {
        acked = answer.value.seq;
        acks += 1;
      }
    });
    await hold.say(heartbeat(1));
    for (let at = 0; at < 10_050; at += 50) {
      const fifty = Array.from({ length: 50 }, (_, index) => at + index);
      await hold.say(...fifty.map((index) => acquire(`r/${String(index)}`, index)));
    }
    await expect.poll(() => granted, { timeout: 20_000 }).toBe(10_000);
    await expect.poll(() => denied.length, { timeout: 20_000 }).toBe(50);
    expect(denied[0]).toBe(
      "acquire refused: a stream keeps 10000 leases at the most; open another one",
    );
    // Each of these is about ten thousand leases; those that come together are one.
    for (let seq = 2; seq < 20_000; seq += 1000) {
      await hold.say(...Array.from({ length: 1000 }, (_, index) => heartbeat(seq + index)));
    }
    await expect.poll(() => acked, { timeout: 20_000 }).toBe(20_001n);
    expect(acks).toBeLessThan(2000);
    expect(daemon.holds.leases).toBe(10_001);
    expect(witness.longestMs).toBeLessThan(1000);
  });
});

describe("a client that opens a stream and says nothing", () => {
  it("does not keep it, and one that has said that it lives does", async () => {
    // What takes half a minute comes at once.
    const after = (ms: number, wake: () => void) =>
      systemClock.after(ms === 30_000 ? 200 : ms, wake);
    Object.assign(daemon.locks, { clock: { ...systemClock, after } });
    await using client = new StockClient(daemon.address);
    const living = new HoldStream(client);
    const seq = living.heartbeat();
    await living.next("heartbeat_ack", { seq: String(seq) });
    const silent = new HoldStream(client);
    const ended = await silent.over;
    expect(ended).toMatchObject({ code: status.DEADLINE_EXCEEDED, reason: "TIMED_OUT" });
    expect(ended.details).toBe("no heartbeat has come within 30 s");
    expect(daemon.holds.streams).toBe(1);
    living.break();
  });
});

describe("a client that does not read", () => {
  it("costs little, and its stream ends after two missed acks; its leases are not released", async () => {
    await using witness = await Witness.begin();
    await using client = new StockClient(daemon.address);
    const stream = new HoldStream(client);
    const leaseId = stream.acquire("x", { ttl: { seconds: 3 } });
    await stream.next("granted");
    stream.call.pause();
    const before = await bytesInUse();
    const startedMs = performance.now();
    let isOver = false;
    // Every answer repeats the name that was asked for: they fill the window soon.
    const name = "n".repeat(190);
    for (let at = 0; !isOver && performance.now() - startedMs < 10_000; at++) {
      const fields = { resource: `${name}${String(at)}`, lease_id: "0".repeat(32) };
      if (!stream.call.write({ resume: fields })) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      isOver = daemon.holds.streams === 1;
    }
    const tookMs = performance.now() - startedMs;
    expect(isOver).toBe(true);
    expect(tookMs).toBeGreaterThan(1900);
    expect(tookMs).toBeLessThan(8000);
    expect((await bytesInUse()) - before).toBeLessThan(20 * MIB);
    // Its call is off the wire although it still does not read.
    await expect
      .poll(() => daemon.log.filter((line) => line.includes("/Hold")).length, { timeout: 5000 })
      .toBe(1);
    stream.call.resume();
    expect((await stream.over).code).not.toBe(status.OK);
    expect(await daemon.locks.isHeld({ resource: "x", leaseId })).toBe(false); // three seconds
    expect(witness.longestMs).toBeLessThan(1000);
  });
});

describe("a stream that has been ended", () => {
  it("is off the wire soon, even if the client never ends its side", async () => {
    await using hold = new RawHold(daemon.address);
    await hold.say({});
    expect((await hold.trailers)["grpc-status"]).toBe(String(status.INVALID_ARGUMENT));
    const toldMs = performance.now();
    await hold.closed;
    expect(performance.now() - toldMs).toBeLessThan(4000);
  });
});

describe("a half-open connection", () => {
  it("is found by pings; its leases live out their ttl, and others go on", async () => {
    await using proxy = await Proxy.open(daemon.address);
    await using client = new StockClient(proxy.address);
    const stream = new HoldStream(client);
    const leaseId = stream.acquire("x", { ttl: { seconds: 2 } });
    await stream.next("granted");
    await using witness = await Witness.begin();
    proxy.freeze();
    const frozenMs = performance.now();
    await expect.poll(() => daemon.holds.streams, { timeout: 5000 }).toBe(1);
    expect(performance.now() - frozenMs).toBeLessThan(2500);
    expect(await daemon.locks.isHeld({ resource: "x", leaseId })).toBe(true);
    await expect.poll(() => daemon.locks.current("x"), { timeout: 3000 }).toBeUndefined();
    expect(witness.longestMs).toBeLessThan(1000);
    stream.break();
  });

  it("a waiter on it leaves the queue when it is found, and delays nobody", async () => {
    await using direct = new StockClient(daemon.address);
    const holder = new HoldStream(direct);
    const held = holder.acquire("x", { ttl: { seconds: 20 } });
    await holder.next("granted");
    await using proxy = await Proxy.open(daemon.address);
    await using client = new StockClient(proxy.address);
    const dead = new HoldStream(client);
    dead.acquire("x");
    await dead.next("queued");
    const next = new HoldStream(direct);
    next.acquire("x");
    await next.next("queued", { position: 2 });
    proxy.freeze();
    await next.next("queued", { position: 1 });
    holder.say("release", { resource: "x", lease_id: held });
    await next.next("granted");
    for (const stream of [dead, holder, next]) stream.break();
  });
});
