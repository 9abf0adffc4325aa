import { describe, expect, it } from "vitest";
import { Departure } from "../../../src/lock/departure.js";
import {
  ask,
  asked,
  RESOURCE,
  startDaemon,
  wishFor,
  type Caller,
  type Daemon,
} from "../../support/lock-kit.js";

/** Somebody holds the lock for a minute. */
async function startHeld(options: Parameters<typeof startDaemon>[0] = {}) {
  const daemon = startDaemon(options);
  const owner = ask(daemon.locks, "owner", { ttlMs: 60_000 });
  await daemon.clock.settle();
  expect(owner.kind).toBe("granted");
  return daemon;
}

/** Waiters that came one after another. */
async function queueUp({ locks, clock }: Daemon, names: readonly string[]): Promise<Caller[]> {
  const callers: Caller[] = [];
  for (const name of names) {
    callers.push(ask(locks, name, { waitMs: Infinity, ttlMs: 60_000 }));
    await clock.settle();
  }
  return callers;
}

const release = (locks: Daemon["locks"], leaseId: string) =>
  locks.release({ resource: RESOURCE, leaseId });

/** Nothing is left behind: no alarm, no line, no waiter. */
async function expectIdle({ clock, locks }: Daemon): Promise<void> {
  await clock.settle();
  expect({
    waiters: locks.waiters,
    busy: locks.busyResources,
    alarms: clock.pending,
  }).toEqual({ waiters: 0, busy: 0, alarms: 0 });
}

describe("those who wait for one resource", () => {
  it("are served in the order in which they came, all fifty of them", async () => {
    const daemon = await startHeld();
    const names = Array.from({ length: 50 }, (_, index) => `w${String(index)}`);
    const callers = await queueUp(daemon, names);
    const served: string[] = [];
    let holder = "owner";
    for (let turn = 0; turn < 50; turn++) {
      await release(daemon.locks, holder);
      await daemon.clock.settle();
      const granted = callers.filter(
        ({ kind }, index) => kind === "granted" && !served.includes(`w${String(index)}`),
      );
      expect(granted).toHaveLength(1);
      holder = granted[0]?.granted.lease.leaseId ?? "";
      served.push(holder);
    }
    expect(served).toEqual(names);
    await release(daemon.locks, holder);
    await expectIdle(daemon);
  });

  it("lose nothing when one in the middle, the first and the last go away", async () => {
    const daemon = await startHeld();
    const [first, second, third, fourth] = await queueUp(daemon, ["a", "b", "c", "d"]);
    second?.leave();
    first?.leave();
    fourth?.leave();
    await daemon.clock.settle();
    expect([first, second, fourth].map((caller) => caller?.kind)).toEqual(
      Array<string>(3).fill("cancelled"),
    );
    expect(daemon.locks.waiters).toBe(1);
    await release(daemon.locks, "owner");
    await daemon.clock.settle();
    expect(third?.kind).toBe("granted");
    await expectIdle(daemon);
  });

  it("get the lock in the very turn in which it is released, without the clock going on", async () => {
    const daemon = await startHeld();
    const [waiter] = await queueUp(daemon, ["w"]);
    await release(daemon.locks, "owner");
    await daemon.clock.settle();
    expect(waiter?.kind).toBe("granted");
  });

  it("get it within 20 ms when the holder's lease runs out, and not before", async () => {
    const daemon = startDaemon({ isDeaf: true });
    ask(daemon.locks, "owner", { ttlMs: 3000 });
    await daemon.clock.settle();
    const [waiter] = await queueUp(daemon, ["w"]);
    await daemon.clock.advance(2999);
    expect(waiter?.kind).toBe("open");
    await daemon.clock.advance(21);
    expect(waiter?.kind).toBe("granted");
    // By the owner, by the waiter, and when the time had come: nobody turned in circles.
    expect(asked(daemon.backend).filter((call) => call.startsWith("acquire"))).toHaveLength(3);
    await expectIdle(daemon);
  });

  it("ask the store through their head alone, however many they are", async () => {
    const daemon = await startHeld();
    const before = daemon.backend.calls.length;
    await queueUp(
      daemon,
      Array.from({ length: 30 }, (_, index) => `w${String(index)}`),
    );
    // One asks, and one look follows once the store is being watched.
    const first = [`acquire ${RESOURCE}`, `current ${RESOURCE}`];
    expect(asked(daemon.backend, before)).toEqual(first);
    await daemon.clock.advance(20_000);
    // Every five seconds, in case that a hint was lost.
    const later = Array<string>(4).fill(`acquire ${RESOURCE}`);
    expect(asked(daemon.backend, before)).toEqual([...first, ...later]);
  });

  it("leave nothing behind when all of them have gone", async () => {
    const daemon = await startHeld();
    const callers = await queueUp(daemon, ["a", "b", "c"]);
    for (const caller of callers) caller.leave();
    await expectIdle(daemon);
  });
});

describe("who does not wait", () => {
  it("does not pass those who queue, and learns who holds the lock now", async () => {
    const daemon = await startHeld();
    const [waiter] = await queueUp(daemon, ["w"]);
    const passer = ask(daemon.locks, "passer");
    await daemon.clock.settle();
    expect(passer.holder.leaseId).toBe("owner");

    // Free, but somebody queues: the lock goes to the queue, and the passer hears of that.
    const released = release(daemon.locks, "owner");
    const second = ask(daemon.locks, "second");
    await released;
    await daemon.clock.settle();
    expect(waiter?.kind).toBe("granted");
    expect(second.holder.leaseId).toBe("w");
    await expectIdle(daemon);
  });

  it("takes a lock that is free, and one of many at once gets it", async () => {
    const daemon = startDaemon();
    const callers = Array.from({ length: 100 }, (_, index) =>
      ask(daemon.locks, `c${String(index)}`),
    );
    await daemon.clock.settle();
    expect(callers.map(({ kind }) => kind)).toEqual(["granted", ...Array<string>(99).fill("held")]);
    expect(daemon.backend.calls).toHaveLength(1);
    await expectIdle(daemon);
  });
});

describe("a wait that runs out", () => {
  it("ends as held, by whoever holds then, after the store was asked a last time", async () => {
    const daemon = await startHeld();
    const caller = ask(daemon.locks, "w", { waitMs: 1000 });
    await daemon.clock.advance(999);
    expect(caller.kind).toBe("open");
    const before = daemon.backend.calls.length;
    await daemon.clock.advance(1);
    expect(caller.holder.leaseId).toBe("owner");
    expect(daemon.backend.calls.length).toBe(before + 1);
    await expectIdle(daemon);
  });

  it("gets the lock with that last question when it has become free unnoticed", async () => {
    const daemon = await startHeld({ isDeaf: true });
    const other = startDaemon({ ...daemon, isDeaf: true });
    const caller = ask(daemon.locks, "w", { waitMs: 1000 });
    await daemon.clock.advance(500);
    await release(other.locks, "owner");
    await daemon.clock.advance(499);
    expect(caller.kind).toBe("open");
    await daemon.clock.advance(1);
    expect(caller.kind).toBe("granted");
  });

  it("in the middle of a queue ends for that one alone", async () => {
    const daemon = await startHeld();
    const [first] = await queueUp(daemon, ["first"]);
    const short = ask(daemon.locks, "short", { waitMs: 1000 });
    await daemon.clock.settle();
    const [last] = await queueUp(daemon, ["last"]);
    await daemon.clock.advance(1000);
    expect([first?.kind, short.kind, last?.kind]).toEqual(["open", "held", "open"]);
  });
});

describe("places in the queue", () => {
  it("are told with the holder, once when they are taken and again when they have changed", async () => {
    const daemon = await startHeld();
    const callers = await queueUp(daemon, ["a", "b", "c"]);
    await daemon.clock.advance(1000);
    expect(callers.map(({ told }) => told.map(({ position }) => position))).toEqual([
      [1],
      [2],
      [3],
    ]);
    expect(callers[2]?.told[0]?.holder?.leaseId).toBe("owner");

    callers[0]?.leave();
    await daemon.clock.advance(1000);
    expect(callers.map(({ told }) => told.map(({ position }) => position))).toEqual([
      [1],
      [2, 1],
      [3, 2],
    ]);
    await daemon.clock.advance(30_000);
    expect(callers[2]?.told).toHaveLength(2);

    await release(daemon.locks, "owner");
    await daemon.clock.advance(1000);
    expect(callers[2]?.told.at(-1)).toMatchObject({ position: 1, holder: { leaseId: "b" } });
  });

  it("are told at most once a second, however fast the queue moves", async () => {
    const daemon = await startHeld();
    const callers = await queueUp(
      daemon,
      Array.from({ length: 40 }, (_, index) => `w${String(index)}`),
    );
    const last = callers.at(-1);
    const before = last?.told.length ?? 0;
    let holder = "owner";
    for (let turn = 0; turn < 30; turn++) {
      await release(daemon.locks, holder);
      await daemon.clock.advance(100);
      holder = `w${String(turn)}`;
    }
    expect((last?.told.length ?? 0) - before).toBeLessThanOrEqual(4);
    expect(last?.told.at(-1)?.position).toBeLessThanOrEqual(20);
  });
});

describe("many who wait", () => {
  it("are told where they stand a few at a time, so that nobody else waits for that", async () => {
    const { locks, clock } = await startHeld();
    let turn = 0;
    const endOfTurn = clock.endOfTurn.bind(clock);
    clock.endOfTurn = (work) => {
      endOfTurn(() => {
        turn += 1;
        work();
      });
    };
    const told: { readonly turn: number; readonly position: number }[] = [];
    for (let at = 0; at < 100; at++) {
      void locks.acquire(wishFor(`w${String(at)}`, { waitMs: Infinity }), {
        signal: new Departure(),
        onQueued: (position) => told.push({ turn, position }),
      });
    }
    await clock.advance(1000);
    await clock.settle();
    expect(told.map(({ position }) => position)).toEqual(
      Array.from({ length: 100 }, (_, at) => at + 1),
    );
    const turns = [...new Set(told.map((each) => each.turn))];
    for (const one of turns) {
      expect(told.filter((each) => each.turn === one).length).toBeLessThanOrEqual(20);
    }
  });

  it("are not looked through with every answer: only those who are out of time are told", async () => {
    const { locks, clock } = await startHeld();
    const patient = await queueUp({ locks, clock } as Daemon, ["a", "b", "c"]);
    const hasty = ask(locks, "d", { waitMs: 50 });
    const none = ask(locks, "e");
    await clock.settle();
    expect([none.kind, hasty.kind]).toEqual(["held", "open"]);
    await clock.advance(50);
    expect([hasty.kind, ...patient.map(({ kind }) => kind)]).toEqual([
      ...["held", "open", "open", "open"],
    ]);
  });
});
