// Three daemons over one store, and a thousand who wait at each: what the store is asked.

import { describe, expect, it } from "vitest";
import { FakeClock } from "../support/fake-clock.js";
import { ask, RESOURCE, startDaemon, type Caller, type Daemon } from "../support/lock-kit.js";
import { MemoryStore } from "../support/memory-backend.js";

const DAEMONS = 3;
const WAITERS = 1000;
const GRANTS = 300;
const TTL_MS = 60_000;

interface Stage {
  readonly clock: FakeClock;
  readonly daemons: readonly Daemon[];
  /** Those who wait, by daemon, in the order in which they came. */
  readonly waiting: readonly (readonly Caller[])[];
  /** How many questions of a kind a daemon has put since the stage was set. */
  readonly asked: (daemon: number, method: string) => number;
  /** Ends the lease of whoever holds now, through his own daemon. */
  readonly release: () => Promise<void>;
}

/** The lock is held, and a thousand wait for it at each of three daemons. */
async function setStage(isDeaf = false): Promise<Stage> {
  const clock = new FakeClock();
  const store = new MemoryStore(clock);
  const daemons = Array.from({ length: DAEMONS }, () => startDaemon({ clock, store, isDeaf }));
  const [first] = daemons;
  if (first === undefined) throw new Error("no daemon");
  ask(first.locks, "first", { ttlMs: TTL_MS });
  await clock.settle();
  const waiting = daemons.map(({ locks }, at) =>
    Array.from({ length: WAITERS }, (_, nth) =>
      ask(locks, `${String(at)}-${String(nth)}`, { ttlMs: TTL_MS, waitMs: Infinity }),
    ),
  );
  await clock.settle();
  const before = daemons.map(({ backend }) => backend.calls.length);
  const release = async (): Promise<void> => {
    const lease = store.current(RESOURCE);
    if (lease === undefined) throw new Error("nobody holds it");
    const at = lease.leaseId === "first" ? 0 : Number(lease.leaseId.split("-")[0]);
    expect(await daemons[at]?.locks.release(lease)).toBe("released");
    await clock.settle();
  };
  const asked = (at: number, method: string): number =>
    (daemons[at]?.backend.calls ?? [])
      .slice(before[at])
      .filter((call) => call.method === method)
      .reduce((sum, { resources }) => sum + resources.length, 0);
  return { clock, daemons, waiting, asked, release };
}

const served = (callers: readonly Caller[]): number =>
  callers.filter(({ kind }) => kind === "granted").length;

/** First come first served within a daemon: those who were served came before all who were not. */
function expectInOrder(waiting: readonly (readonly Caller[])[]): void {
  for (const callers of waiting) {
    const count = served(callers);
    expect(callers.slice(0, count).every(({ kind }) => kind === "granted")).toBe(true);
  }
}

describe("a thousand waiters at each of three daemons", () => {
  it("cost one question a daemon for each grant, and are served in order within each", async () => {
    const { waiting, asked, release } = await setStage();
    for (let grant = 0; grant < GRANTS; grant++) await release();
    expect(waiting.reduce((sum, callers) => sum + served(callers), 0)).toBe(GRANTS);
    for (let at = 0; at < DAEMONS; at++) {
      expect(asked(at, "acquire")).toBeGreaterThan(0);
      expect(asked(at, "acquire") / GRANTS).toBeLessThanOrEqual(1.1);
      expect(asked(at, "current")).toBe(0);
    }
    expectInOrder(waiting);
  });

  it("cost a read a daemon, and no write, when anything may have become free and nothing has", async () => {
    const { clock, daemons, asked } = await setStage();
    for (let hint = 0; hint < 100; hint++) {
      for (const { backend } of daemons) backend.hint(undefined);
      // A storm of them in one turn is one.
      for (const { backend } of daemons) backend.hint(undefined);
      await clock.settle();
    }
    for (let at = 0; at < DAEMONS; at++) {
      expect(asked(at, "acquire")).toBe(0);
      expect(asked(at, "current")).toBeLessThanOrEqual(200);
    }
  });

  it("are no herd when anything may have become free and the lock has", async () => {
    const { clock, daemons, asked, waiting, release } = await setStage(true);
    await release(); // its own daemon knows and takes it; the others are deaf
    expect(waiting.map(served)).toEqual([1, 0, 0]);
    await clock.advance(TTL_MS + 1);
    // Nobody has renewed it: the next one has it, wherever he waits, by the clocks alone.
    expect(waiting.reduce((sum, callers) => sum + served(callers), 0)).toBe(2);
    for (const [at] of daemons.entries()) expect(asked(at, "acquire")).toBeLessThan(20);
    expectInOrder(waiting);
  });

  it("are woken at once by the release of a holder at another daemon, not by a clock", async () => {
    for (const isDeaf of [false, true]) {
      const clock = new FakeClock();
      const store = new MemoryStore(clock);
      const [one, ...others] = Array.from({ length: DAEMONS }, () =>
        startDaemon({ clock, store, isDeaf }),
      );
      ask(one?.locks ?? fail(), "first", { ttlMs: TTL_MS });
      await clock.settle();
      const waiting = others.map(({ locks }, at) => ask(locks, `w${String(at)}`, { waitMs: 1e9 }));
      await clock.settle();
      expect(await one?.locks.release({ resource: RESOURCE, leaseId: "first" })).toBe("released");
      await clock.settle();
      // Without hints they would have to wait for their alarms.
      expect(waiting.filter(({ kind }) => kind === "granted")).toHaveLength(isDeaf ? 0 : 1);
    }
  });
});

describe("a thousand locks with a waiter for each at three daemons", () => {
  it("cost one batch of reads a daemon for a hint that anything may be free", async () => {
    const clock = new FakeClock();
    const store = new MemoryStore(clock);
    const daemons = Array.from({ length: DAEMONS }, () => startDaemon({ clock, store }));
    const names = Array.from({ length: WAITERS }, (_, nth) => `lock/${String(nth)}`);
    const [first] = daemons;
    for (const resource of names) ask(first?.locks ?? fail(), `h-${resource}`, { resource });
    await clock.settle();
    const waiting = daemons.map(({ locks }, at) =>
      names.map((resource) => ask(locks, `${String(at)}-${resource}`, { resource, waitMs: 1e9 })),
    );
    await clock.settle();
    const before = daemons.map(({ backend }) => backend.calls.length);
    for (const { backend } of daemons) backend.hint(undefined);
    await clock.settle();
    for (const [at, { backend }] of daemons.entries()) {
      const since = backend.calls.slice(before[at]);
      expect(since.map(({ method }) => method)).toEqual(["current"]);
      expect(since[0]?.resources).toHaveLength(WAITERS);
    }
    expect(waiting.flat().every(({ kind }) => kind === "open")).toBe(true);
  });
});

function fail(): never {
  throw new Error("no daemon");
}
