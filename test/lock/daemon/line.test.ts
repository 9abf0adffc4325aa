import { describe, expect, it } from "vitest";
import { ask, asked, RESOURCE, startDaemon, Watched, type Daemon } from "../../support/lock-kit.js";
import type { CallSeen, Fault, Faults } from "../../support/memory-backend.js";

const name = (leaseId: string) => ({ resource: RESOURCE, leaseId });

/** The n-th call of a kind goes wrong, or is slow. */
function onCall(method: CallSeen["method"], nth: number, fault: Fault): Faults {
  let seen = 0;
  return (call) => {
    if (call.method !== method) return undefined;
    seen += 1;
    return seen === nth ? fault : undefined;
  };
}

async function expectIdle({ clock, locks }: Daemon): Promise<void> {
  await clock.settle();
  expect({ waiters: locks.waiters, busy: locks.busyResources, alarms: clock.pending }).toEqual({
    waiters: 0,
    busy: 0,
    alarms: 0,
  });
}

describe("one resource's traffic with its store", () => {
  it("has one operation on its way at a time, renewals and releases before acquires", async () => {
    const daemon = startDaemon({ faults: () => ({ beforeMs: 10 }) });
    const { locks, clock, backend } = daemon;
    const owner = ask(locks, "owner");
    const next = ask(locks, "next", { waitMs: Infinity });
    const renewal = new Watched(locks.renew({ ...name("owner"), ttlMs: undefined }));
    const release = new Watched(locks.release(name("owner")));
    const elsewhere = ask(locks, "elsewhere", { resource: "other" });
    await clock.settle();
    expect(asked(backend)).toEqual([`acquire ${RESOURCE},other`]);
    await clock.advance(9);
    expect(backend.calls).toHaveLength(1);
    await clock.advance(41);
    expect([owner, elsewhere, renewal, release, next].map(({ kind }) => kind)).toEqual([
      "granted",
      "granted",
      "granted",
      "released",
      "granted",
    ]);
    expect(asked(backend).filter((call) => !call.startsWith("current"))).toEqual([
      `acquire ${RESOURCE},other`,
      `renew ${RESOURCE}`,
      `handOver ${RESOURCE}`,
    ]);
    await expectIdle(daemon);
  });

  it("never names a resource twice in a batch, whatever is asked at once", async () => {
    const { locks, clock, backend } = startDaemon();
    for (let round = 0; round < 5; round++) {
      for (const resource of ["a", "b", "c"]) {
        for (const id of ["x", "y", "z"]) {
          ask(locks, `${id}-${String(round)}`, { resource, waitMs: 100 });
          void locks.renew({ resource, leaseId: id, ttlMs: undefined });
          void locks.release({ resource, leaseId: `${id}-${String(round)}` });
          void locks.current(resource);
        }
      }
      await clock.advance(500);
    }
    expect(backend.calls.length).toBeGreaterThan(20);
    for (const { resources } of backend.calls) {
      expect(new Set(resources).size).toBe(resources.length);
    }
  });

  it("counts what is left of a grant from before the store was asked", async () => {
    const { locks, clock } = startDaemon({ faults: () => ({ beforeMs: 70, afterMs: 30 }) });
    const askedAtMs = clock.monotonicMs();
    const caller = ask(locks, "a");
    await clock.advance(100);
    expect(caller.granted.askedAtMs).toBe(askedAtMs);
    const renewed = new Watched(locks.renew({ ...name("a"), ttlMs: undefined }));
    await clock.advance(100);
    expect(renewed.value).toMatchObject({ kind: "granted", askedAtMs: askedAtMs + 100 });
  });
});

describe("a caller that asks again with the same lease id", () => {
  it("takes over the place of its first call, which hears nothing definite", async () => {
    const daemon = startDaemon();
    const { locks, clock } = daemon;
    ask(locks, "owner");
    await clock.settle();
    const first = ask(locks, "w", { waitMs: Infinity });
    const other = ask(locks, "other", { waitMs: Infinity });
    await clock.settle();
    const again = ask(locks, "w", { waitMs: Infinity });
    await clock.settle();
    expect(first.kind).toBe("cancelled");
    expect(first.message).not.toContain("w@host");
    expect(locks.waiters).toBe(2);
    await locks.release(name("owner"));
    await clock.settle();
    expect([again.kind, other.kind]).toEqual(["granted", "open"]);
    first.leave();
    await clock.settle();
    expect(await locks.current(RESOURCE)).toMatchObject({ leaseId: "w" });
    other.leave();
    await expectIdle(daemon);
  });

  it("and does not wait this time is answered at once", async () => {
    const { locks, clock } = startDaemon();
    ask(locks, "owner");
    await clock.settle();
    const first = ask(locks, "w", { waitMs: Infinity });
    await clock.settle();
    const again = ask(locks, "w");
    await clock.settle();
    expect([first.kind, again.kind, locks.waiters]).toEqual(["cancelled", "held", 0]);
  });

  it("finds the lease it has, its ttl extended and its token the same, while others queue for it", async () => {
    const daemon = startDaemon({ isDeaf: true });
    const { locks, clock } = daemon;
    const first = ask(locks, "mine");
    await clock.settle();
    const other = ask(locks, "other", { waitMs: Infinity });
    await clock.advance(4000);

    // As after a lost answer: it must not be told that it stands in its own way, nor wait for it.
    for (const waitMs of [0, 1000, Infinity]) {
      const again = ask(locks, "mine", { waitMs });
      await clock.settle();
      expect(again.kind).toBe("granted");
      expect(again.granted).toMatchObject({ created: false });
      expect(again.granted.lease).toMatchObject({
        token: first.granted.lease.token,
        remainingMs: 10_000,
      });
    }
    expect(other.kind).toBe("open");
    await locks.release(name("mine"));
    await clock.settle();
    expect(other.kind).toBe("granted");
    await expectIdle(daemon);
  });

  it("finds the lease that a daemon before granted it, though others of this one queue for it", async () => {
    for (const waitMs of [0, Infinity]) {
      const daemon = startDaemon();
      const { locks, clock } = startDaemon({ store: daemon.store, clock: daemon.clock });
      ask(daemon.locks, "mine");
      await clock.settle();
      const other = ask(locks, "other", { waitMs: Infinity });
      const again = ask(locks, "mine", { waitMs });
      await clock.settle();
      expect([other.kind, again.kind]).toEqual(["open", "granted"]);
    }
  });

  it("does not pass the queue with the id of a lease that has been released", async () => {
    const { locks, clock } = startDaemon();
    ask(locks, "old");
    await clock.settle();
    const waiters = ["a", "b"].map((leaseId) => ask(locks, leaseId, { waitMs: Infinity }));
    await clock.settle();
    await locks.release(name("old"));
    const old = ask(locks, "old", { waitMs: Infinity });
    await clock.settle();
    expect([...waiters, old].map(({ kind }) => kind)).toEqual(["granted", "open", "open"]);
  });

  it("is refused when that lease was released or has expired, and holds up nobody", async () => {
    const daemon = startDaemon();
    const { locks, clock } = daemon;
    ask(locks, "old");
    await clock.settle();
    await locks.release(name("old"));
    const old = ask(locks, "old", { waitMs: Infinity });
    const next = ask(locks, "next", { waitMs: Infinity });
    await clock.settle();
    expect([old.kind, next.kind]).toEqual(["spent", "granted"]);
    await expectIdle(daemon);
  });
});

describe("a caller that goes while the store is being asked for it", () => {
  it("has its grant taken back, and the next in the queue gets the lock", async () => {
    const daemon = startDaemon({ faults: onCall("acquire", 1, { afterMs: 50 }) });
    const { locks, clock, store } = daemon;
    const gone = ask(locks, "gone", { waitMs: Infinity });
    const next = ask(locks, "next", { waitMs: Infinity });
    await clock.advance(10);
    gone.leave();
    await clock.settle();
    expect([gone.kind, next.kind, locks.waiters]).toEqual(["cancelled", "open", 1]);
    expect(store.current(RESOURCE)).toMatchObject({ leaseId: "gone" });
    await clock.advance(40);
    expect(next.kind).toBe("granted");
    await expectIdle(daemon);
  });

  it("keeps it when it asks again in time with the same id", async () => {
    const daemon = startDaemon({ faults: onCall("acquire", 1, { afterMs: 50 }) });
    const { locks, clock } = daemon;
    const gone = ask(locks, "a", { waitMs: Infinity });
    await clock.advance(10);
    gone.leave();
    const again = ask(locks, "a", { waitMs: Infinity });
    await clock.advance(40);
    expect(again.kind).toBe("granted");
    expect(await locks.current(RESOURCE)).toMatchObject({ leaseId: "a" });
    await expectIdle(daemon);
  });

  it("keeps it when the lease was there before: another call may believe in it", async () => {
    let slow = false;
    const daemon = startDaemon({ faults: () => (slow ? { afterMs: 50 } : undefined) });
    const { locks, clock } = daemon;
    ask(locks, "a");
    await clock.settle();
    slow = true;
    const replay = ask(locks, "a");
    await clock.advance(10);
    replay.leave();
    await clock.advance(200);
    expect(replay.kind).toBe("cancelled");
    expect(daemon.store.current(RESOURCE)).toMatchObject({ leaseId: "a" });
    expect(asked(daemon.backend)).not.toContain(`release ${RESOURCE}`);
    await expectIdle(daemon);
  });

  it("keeps it when somebody has renewed it in the meantime, on another daemon", async () => {
    const daemon = startDaemon({ faults: onCall("acquire", 1, { afterMs: 50 }) });
    const other = startDaemon({ store: daemon.store, clock: daemon.clock });
    const { locks, clock, store } = daemon;
    const gone = ask(locks, "a");
    await clock.advance(10);
    gone.leave();
    const again = ask(other.locks, "a");
    await clock.advance(200);
    expect(again.kind).toBe("granted");
    expect(asked(daemon.backend)).toContain(`release ${RESOURCE}`);
    expect(store.current(RESOURCE)).toMatchObject({ leaseId: "a" });
    await expectIdle(daemon);
  });

  it("is told nothing any more, and is sent away once", async () => {
    const daemon = startDaemon({ faults: () => ({ afterMs: 3000 }) });
    const { locks, clock } = daemon;
    const [gone, second, third] = ["a", "b", "c"].map((id) => ask(locks, id, { waitMs: Infinity }));
    await clock.advance(100);
    gone?.leave();
    third?.leave();
    await clock.advance(100);
    expect([gone?.told, second?.told]).toEqual([[], [{ position: 2, holder: undefined }]]);
    locks.drain();
    expect(locks.waiters).toBe(0);
    await clock.advance(10_000);
    await expectIdle(daemon);
  });

  it("is gone for good when the store then says held, spent, or nothing", async () => {
    for (const fault of [{ afterMs: 50 }, { afterMs: 50, fail: "before" as const }]) {
      const daemon = startDaemon({ faults: onCall("acquire", 2, fault) });
      const { locks, clock } = daemon;
      ask(locks, "owner", { ttlMs: 1000 });
      await clock.settle();
      const gone = ask(locks, "gone", { waitMs: Infinity });
      await clock.advance(10);
      gone.leave();
      await clock.advance(100);
      expect(gone.kind).toBe("cancelled");
      await expectIdle(daemon);
      await clock.advance(2000);
      expect(daemon.store.current(RESOURCE)).toBeUndefined();
    }
  });
});

describe("a store that fails", () => {
  it("is asked again for who waits, with the same id: an answer lost on its way is no failure", async () => {
    const daemon = startDaemon({ faults: onCall("acquire", 1, { fail: "after" }) });
    const { locks, clock } = daemon;
    const caller = ask(locks, "a", { waitMs: Infinity });
    await clock.settle();
    expect(caller.kind).toBe("open");
    await clock.advance(100);
    expect(caller.granted).toMatchObject({ created: false, lease: { leaseId: "a" } });
    await expectIdle(daemon);
  });

  it("is told of at once to who does not wait, and to whose wait is over", async () => {
    const daemon = startDaemon({ faults: () => ({ fail: "before" }) });
    const { locks, clock } = daemon;
    const now = ask(locks, "now");
    const soon = ask(locks, "soon", { waitMs: 1000 });
    await clock.settle();
    expect([now.kind, soon.kind]).toEqual(["unavailable", "open"]);
    await clock.advance(1000);
    expect(soon.kind).toBe("unavailable");
    await expectIdle(daemon);
  });

  it("is told of to everybody after ten seconds, having been asked less and less often", async () => {
    const daemon = startDaemon({ faults: () => ({ fail: "before" }) });
    const { locks, clock, backend } = daemon;
    const callers = ["a", "b", "c"].map((id) => ask(locks, id, { waitMs: Infinity }));
    await clock.advance(9900);
    expect(callers.map(({ kind }) => kind)).toEqual(["open", "open", "open"]);
    await clock.advance(2100);
    expect(callers.map(({ kind }) => kind)).toEqual(Array<string>(3).fill("unavailable"));
    expect(backend.calls.length).toBeLessThanOrEqual(11);
    await expectIdle(daemon);

    // Forgotten, too: the next to come has patience of its own.
    const late = ask(locks, "d", { waitMs: Infinity });
    await clock.advance(5000);
    expect(late.kind).toBe("open");
    late.leave();
    await expectIdle(daemon);
  });

  it("starts its ten seconds anew after every answer", async () => {
    let fails = false;
    const daemon = startDaemon({ faults: () => (fails ? { fail: "before" } : undefined) });
    const { locks, clock } = daemon;
    ask(locks, "owner", { ttlMs: 60_000 });
    await clock.settle();
    const waiter = ask(locks, "w", { waitMs: Infinity });
    for (let round = 0; round < 3; round++) {
      fails = true;
      await clock.advance(9000);
      fails = false;
      await clock.advance(6000);
    }
    expect(waiter.kind).toBe("open");
    await clock.advance(20_000);
    expect(waiter.kind).toBe("granted");
  });

  it("fails a renewal and a release for those who asked, and the line goes on", async () => {
    const daemon = startDaemon({
      faults: ({ method, index }) =>
        method !== "acquire" && index < 3 ? { fail: "before" } : undefined,
    });
    const { locks, clock } = daemon;
    ask(locks, "a");
    const renewal = new Watched(locks.renew({ ...name("a"), ttlMs: undefined }));
    const release = new Watched(locks.release(name("a")));
    await clock.settle();
    expect([renewal.kind, release.kind]).toEqual(["unavailable", "unavailable"]);
    expect(await locks.release(name("a"))).toBe("released");
    await expectIdle(daemon);
  });

  it("wakes the queue when a release got no answer: it may have been carried out", async () => {
    const faults = onCall("release", 1, { fail: "after" });
    const { locks, clock } = startDaemon({ faults, canHandOver: false });
    ask(locks, "owner");
    await clock.settle();
    const waiter = ask(locks, "w", { waitMs: Infinity });
    await clock.settle();
    await expect(locks.release(name("owner"))).rejects.toMatchObject({ kind: "unavailable" });
    await clock.settle();
    expect(waiter.kind).toBe("granted");
  });
});

describe("what other daemons do", () => {
  async function startTwo(options: Parameters<typeof startDaemon>[0] = {}) {
    const there = startDaemon();
    const here = startDaemon({ ...options, store: there.store, clock: there.clock });
    ask(there.locks, "owner", { ttlMs: 60_000 });
    await here.clock.settle();
    const waiter = ask(here.locks, "w", { waitMs: Infinity });
    await here.clock.settle();
    return { there, here, waiter };
  }

  it("wakes the queue by a hint, at once", async () => {
    const { there, here, waiter } = await startTwo();
    await there.locks.release(name("owner"));
    await here.clock.settle();
    expect(waiter.kind).toBe("granted");
    await expectIdle(here);
  });

  it("is found out within five seconds when the hint is lost", async () => {
    const { there, here, waiter } = await startTwo({ isDeaf: true });
    await there.locks.release(name("owner"));
    await here.clock.advance(4900);
    expect(waiter.kind).toBe("open");
    await here.clock.advance(100);
    expect(waiter.kind).toBe("granted");
  });

  it("is found out by a hint that comes while the store is being asked once more", async () => {
    let slow = false;
    const { there, here, waiter } = await startTwo({
      faults: () => (slow ? { afterMs: 50 } : undefined),
    });
    const { clock } = here;
    slow = true;
    const passer = ask(here.locks, "passer");
    await clock.advance(10);
    slow = false;
    await there.locks.release(name("owner"));
    await clock.advance(100);
    expect([passer.kind, waiter.kind]).toEqual(["held", "granted"]);
    await expectIdle(here);
  });

  it("is told to those who wait when it is another holder, though their places are the same", async () => {
    const { there, here, waiter } = await startTwo();
    const { clock } = here;
    await clock.advance(1);
    const next = ask(there.locks, "next", { waitMs: Infinity });
    // Nobody here hears of it before the lock is taken again.
    const hint = here.backend.hint.bind(here.backend);
    here.backend.hint = () => undefined;
    await there.locks.release(name("owner"));
    await clock.settle();
    expect(next.kind).toBe("granted");
    hint(RESOURCE);
    await clock.advance(1000);
    expect(waiter.told.map(({ position, holder }) => [position, holder?.leaseId])).toEqual([
      [1, "owner"],
      [1, "next"],
    ]);
  });

  it("is found out by the look that follows when the watch begins", async () => {
    const there = startDaemon();
    const here = startDaemon({
      ...{ store: there.store, clock: there.clock },
      faults: onCall("acquire", 1, { afterMs: 50 }),
    });
    const { clock } = here;
    ask(there.locks, "owner", { ttlMs: 60_000 });
    await clock.settle();
    const waiter = ask(here.locks, "w", { waitMs: Infinity });
    await clock.advance(10);
    // "held" is on its way here when the lock becomes free.
    await there.locks.release(name("owner"));
    await clock.advance(100);
    expect(waiter.kind).toBe("granted");
    await expectIdle(here);
  });

  it("is looked into by reads when a hint says that anything may be free", async () => {
    const { there, here } = await startTwo();
    const { clock, backend } = here;
    ask(there.locks, "other-owner", { resource: "other", ttlMs: 60_000 });
    await clock.settle();
    const other = ask(here.locks, "o", { resource: "other", waitMs: Infinity });
    await clock.settle();
    const before = backend.calls.length;
    backend.hint(undefined);
    await clock.settle();
    expect(asked(backend, before)).toEqual([`current ${RESOURCE},other`]);

    // The hint of the release itself is kept back: only "anything" comes.
    const hint = backend.hint.bind(backend);
    backend.hint = () => undefined;
    await there.locks.release({ resource: "other", leaseId: "other-owner" });
    hint(undefined);
    await clock.settle();
    expect(other.kind).toBe("granted");
    expect(here.locks.waiters).toBe(1);
  });

  it("is not needed: an adapter whose watch throws costs its hints, and nothing else", async () => {
    const there = startDaemon();
    const here = startDaemon({ store: there.store, clock: there.clock });
    const { clock } = here;
    let watches = 0;
    here.backend.watch = () => {
      watches += 1;
      if (watches === 1) throw new Error("no watching here");
      return () => {
        throw new Error("nor an end of it");
      };
    };
    for (const round of ["first", "second"]) {
      ask(there.locks, `${round}-owner`, { ttlMs: 60_000 });
      await clock.settle();
      const waiter = ask(here.locks, round, { waitMs: Infinity });
      await clock.settle();
      await there.locks.release(name(`${round}-owner`));
      await clock.advance(5000);
      expect(waiter.kind).toBe("granted");
      await here.locks.release(name(round));
    }
    expect(watches).toBe(2);
    await expectIdle(here);
  });

  it("is not watched while nobody waits", async () => {
    const { there, here, waiter } = await startTwo();
    let watchers = 0;
    const watch = here.backend.watch.bind(here.backend);
    here.backend.watch = (mayBeFree) => {
      watchers += 1;
      const stop = watch(mayBeFree);
      return () => {
        watchers -= 1;
        stop();
      };
    };
    waiter.leave();
    await here.clock.settle();
    const again = ask(here.locks, "again", { waitMs: Infinity });
    await here.clock.settle();
    expect(watchers).toBe(1);
    await there.locks.release(name("owner"));
    await here.clock.settle();
    expect([again.kind, watchers]).toEqual(["granted", 0]);
  });

  it("can end a lease early, or keep it alive: the queue follows the renewals that pass here", async () => {
    const { locks, clock, backend } = startDaemon({ isDeaf: true });
    ask(locks, "owner", { ttlMs: 2000 });
    await clock.settle();
    const waiter = ask(locks, "w", { waitMs: Infinity });
    await clock.settle();
    const before = backend.calls.length;
    for (let round = 0; round < 5; round++) {
      await clock.advance(1500);
      await locks.renew({ ...name("owner"), ttlMs: undefined });
    }
    // Renewed each time before its end came, so there was nothing to ask the store about.
    expect(asked(backend, before).filter((call) => call.startsWith("acquire"))).toEqual([]);
    await clock.advance(2050);
    expect(waiter.kind).toBe("granted");
  });
});
