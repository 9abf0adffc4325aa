import { describe, it } from "vitest";
import { connect, systemClock, type Hold, type LockClient } from "../../src/index.js";
import { MemoryStore } from "../support/memory-backend.js";
import { Proxy } from "../support/proxy.js";
import { startDaemon, type Daemon } from "./support/daemon.js";

const pause = (delayMs: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, delayMs));

type Options = NonNullable<Parameters<LockClient["hold"]>[1]>;

async function held(client: LockClient, resource: string, options: Options = {}): Promise<Hold> {
  const result = await client.hold(resource, { ttlMs: 10_000, ...options });
  if (result.kind !== "granted") throw new Error(result.message);
  return result.hold;
}

/** A daemon that can be killed and started again, at one address over one store. */
class Phoenix implements AsyncDisposable {
  readonly store = new MemoryStore(systemClock);
  #daemon: Daemon | undefined;
  address = "127.0.0.1:0";

  static async start(): Promise<Phoenix> {
    const phoenix = new Phoenix();
    await phoenix.rise();
    return phoenix;
  }

  get daemon(): Daemon {
    if (this.#daemon === undefined) throw new Error("it does not run");
    return this.#daemon;
  }

  async rise(): Promise<void> {
    this.#daemon = await startDaemon({ listen: [this.address] }, this.store.open());
    this.address = this.#daemon.address;
  }

  async stop(): Promise<void> {
    await this.#daemon?.server.drain();
    this.#daemon = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

describe("hold()", { concurrent: true }, () => {
  it("keeps a lock beyond its ttl, and gives it back at the end of its block", async ({
    expect,
  }) => {
    await using daemon = await startDaemon();
    await using client = connect({ servers: [daemon.address], principal: "ann" });
    {
      await using lock = await held(client, "x", { ttlMs: 1000, reason: "why" });
      expect([lock.resource, lock.state, lock.isHeld]).toEqual(["x", "HELD", true]);
      expect(lock.token).toBeGreaterThan(0n);
      expect(lock.lease).toMatchObject({ principal: "ann", reason: "why", ttlMs: 1000 });
      const leftMs = lock.deadlineMs - systemClock.monotonicMs();
      expect(leftMs).toBeGreaterThan(500);
      expect(leftMs).toBeLessThanOrEqual(1000 * 0.99 - 100);
      await pause(2500);
      expect([lock.state, lock.isHeld]).toEqual(["HELD", true]);
      expect(lock.signal.aborted).toBe(false);
      expect(await client.isHeld("x", lock.leaseId)).toBe(true);
    }
    expect(await client.current("x")).toBeUndefined();
  });

  it("is released by hand as well, once and for all; its signal stays silent", async ({
    expect,
  }) => {
    await using daemon = await startDaemon();
    await using client = connect({ servers: [daemon.address] });
    const lock = await held(client, "x");
    expect(await lock.release()).toBe("released");
    expect(await lock.release()).toBe("released");
    expect([lock.state, lock.isHeld]).toEqual(["RELEASED", false]);
    expect(lock.signal.aborted).toBe(false);
    const again = await held(client, "x");
    expect(again.token).toBeGreaterThan(lock.token);
  });

  it("waits in line, tells where one stands, and is refused when the time is over", async ({
    expect,
  }) => {
    await using daemon = await startDaemon();
    await using one = connect({ servers: [daemon.address], principal: "ann" });
    await using two = connect({ servers: [daemon.address] });
    const lock = await held(one, "x");
    expect(await two.hold("x", { waitMs: 0 })).toMatchObject({
      kind: "held",
      holder: { principal: "ann" },
      message: expect.stringMatching(/^x is held by ann since /u) as string,
    });
    const startedMs = performance.now();
    expect(await two.hold("x", { waitMs: 500 })).toMatchObject({ kind: "held" });
    expect(performance.now() - startedMs).toBeGreaterThan(480);
    const places: [number, string | undefined][] = [];
    const waiting = held(two, "x", {
      onQueued: (position, holder) => places.push([position, holder?.principal]),
    });
    await expect.poll(() => places, { timeout: 3000 }).toEqual([[1, "ann"]]);
    await lock.release();
    expect((await waiting).token).toBeGreaterThan(lock.token);
  });

  it("stops waiting when its signal says so, and leaves nothing behind", async ({ expect }) => {
    await using daemon = await startDaemon();
    await using one = connect({ servers: [daemon.address] });
    await using two = connect({ servers: [daemon.address] });
    const lock = await held(one, "x");
    const stop = new AbortController();
    const waiting = two.hold("x", { signal: stop.signal });
    await expect.poll(() => daemon.locks.waiters).toBe(1);
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ kind: "cancelled" });
    await expect.poll(() => daemon.locks.waiters).toBe(0);
    await lock.release();
    expect(await one.current("x")).toBeUndefined();
    await expect(two.hold("y", { signal: AbortSignal.abort() })).rejects.toMatchObject({
      kind: "cancelled",
    });
  });

  it("keeps many locks on one stream, and lets each go by itself", async ({ expect }) => {
    await using daemon = await startDaemon();
    await using client = connect({ servers: [daemon.address] });
    const names = Array.from({ length: 300 }, (_, at) => `many/${String(at)}`);
    const locks = await Promise.all(names.map((name) => held(client, name, { ttlMs: 1500 })));
    expect(daemon.holds.streams).toBe(1);
    await expect.poll(() => daemon.holds.leases).toBe(300);
    await pause(2500);
    expect(locks.filter(({ state }) => state === "HELD")).toHaveLength(300);
    await Promise.all(locks.slice(0, 100).map((lock) => lock.release()));
    await expect.poll(() => daemon.holds.leases).toBe(200);
    expect(locks.filter(({ isHeld }) => isHeld)).toHaveLength(200);
  });

  it("refuses what is no good, and a resource that this client has already", async ({ expect }) => {
    await using daemon = await startDaemon();
    await using client = connect({ servers: [daemon.address] });
    await expect(client.hold("")).rejects.toMatchObject({ kind: "invalid-field" });
    await expect(client.hold("x", { ttlMs: 999 })).rejects.toThrow(/ttl.*1s/u);
    await held(client, "x");
    await expect(client.hold("x")).rejects.toThrow(/x is held or awaited by this client already/u);
  });

  it("gives up when nobody answers, as soon as its patience is over", async ({ expect }) => {
    const daemon = await startDaemon();
    await daemon[Symbol.asyncDispose]();
    const client = connect({ servers: [daemon.address], patienceMs: 1000 });
    const startedMs = performance.now();
    await expect(client.hold("x", { waitMs: 0 })).rejects.toMatchObject({ kind: "unreachable" });
    await expect(client.hold("y")).rejects.toMatchObject({ kind: "unreachable" });
    // Nobody has heard of either: there is nothing to take back.
    await client[Symbol.asyncDispose]();
    expect(performance.now() - startedMs).toBeLessThan(4000);
  });
});

describe("a hold whose daemon goes away", { concurrent: true }, () => {
  it("is resumed at the same address with the same token, and nobody is told but watchers", async ({
    expect,
  }) => {
    await using phoenix = await Phoenix.start();
    await using client = connect({ servers: [phoenix.address] });
    const locks = await Promise.all(
      ["x", "y", "z"].map((name) => held(client, name, { ttlMs: 6000 })),
    );
    const before = locks.map(({ token, leaseId }) => ({ token, leaseId }));
    await phoenix.stop();
    await pause(1000);
    expect(locks.every(({ isHeld }) => isHeld)).toBe(true);
    await phoenix.rise();
    await expect.poll(() => phoenix.daemon.holds.leases, { timeout: 4000 }).toBe(3);
    await pause(4000);
    expect(locks.map(({ state }) => state)).toEqual(["HELD", "HELD", "HELD"]);
    expect(locks.map(({ token, leaseId }) => ({ token, leaseId }))).toEqual(before);
    for (const lock of locks) expect(await lock.release()).toBe("released");
  });

  it("is resumed at the next address, and a wait queues there", async ({ expect }) => {
    const store = new MemoryStore(systemClock);
    const one = await startDaemon({}, store.open());
    await using two = await startDaemon({}, store.open());
    await using client = connect({ servers: [one.address, two.address] });
    await using other = connect({ servers: [one.address, two.address] });
    const lock = await held(client, "x", { ttlMs: 6000 });
    const waiting = held(other, "x", { ttlMs: 6000 });
    await expect.poll(() => one.locks.waiters).toBe(1);
    const startedMs = performance.now();
    await one[Symbol.asyncDispose]();
    expect(performance.now() - startedMs).toBeLessThan(2000 + 1500);
    await expect.poll(() => two.holds.leases).toBe(1);
    await expect.poll(() => two.locks.waiters).toBe(1);
    expect(lock.state).toBe("HELD");
    expect(store.current("x")).toMatchObject({ leaseId: lock.leaseId, token: lock.token });
    await lock.release();
    expect((await waiting).token).toBeGreaterThan(lock.token);
  });

  it("is at risk, then lost at its deadline to the moment; that is final", async ({ expect }) => {
    await using phoenix = await Phoenix.start();
    await using client = connect({ servers: [phoenix.address] });
    const lock = await held(client, "x", { ttlMs: 2000 });
    const states: string[] = [];
    lock.watch(() => states.push(lock.state));
    const lost = new Promise<number>((resolve) => {
      lock.signal.addEventListener("abort", () => {
        resolve(systemClock.monotonicMs());
      });
    });
    await phoenix.stop();
    const lostMs = await lost;
    expect(lostMs - lock.deadlineMs).toBeGreaterThanOrEqual(0);
    expect(lostMs - lock.deadlineMs).toBeLessThan(100);
    expect(lock.signal.reason).toMatchObject({ kind: "lease-lost" });
    expect(states.slice(-2)).toEqual(["AT_RISK", "LOST"]);
    // The store's lease has outlived the belief.
    expect(phoenix.store.current("x")).toBeDefined();
    await phoenix.rise();
    await pause(500);
    expect([lock.state, lock.isHeld]).toEqual(["LOST", false]);
    // The program may begin anew, as soon as the old lease has ended.
    const again = await held(client, "x", { ttlMs: 2000 });
    expect(again.token).toBeGreaterThan(lock.token);
  });

  it("does not keep the end of a block waiting for long", async ({ expect }) => {
    await using phoenix = await Phoenix.start();
    const client = connect({ servers: [phoenix.address] });
    const lock = await held(client, "x", { ttlMs: 20_000 });
    await phoenix.stop();
    const startedMs = performance.now();
    expect(await lock.release()).toBe("unknown");
    await client[Symbol.asyncDispose]();
    expect(performance.now() - startedMs).toBeLessThan(6500);
  });
});

describe("a hold whose connection is bad", { concurrent: true }, () => {
  it("is carried on by a new connection to the same address when the old one is frozen", async ({
    expect,
  }) => {
    await using daemon = await startDaemon();
    await using proxy = await Proxy.open(daemon.address);
    await using client = connect({ servers: [proxy.address] });
    const lock = await held(client, "x", { ttlMs: 3000 });
    const { token } = lock;
    proxy.freezeOpen();
    await pause(6000);
    expect(lock.token).toBe(token);
    expect(proxy.connections).toBeGreaterThan(1);
    expect(lock.state).toBe("HELD");
  });

  it("that is cut again and again is carried on", async ({ expect }) => {
    await using daemon = await startDaemon();
    await using proxy = await Proxy.open(daemon.address);
    await using client = connect({ servers: [proxy.address] });
    const lock = await held(client, "x", { ttlMs: 2000 });
    for (let cut = 0; cut < 8; cut++) {
      await pause(500);
      proxy.cut();
    }
    await pause(500);
    expect(lock.isHeld).toBe(true);
    expect(await lock.release()).toBe("released");
  });
});
