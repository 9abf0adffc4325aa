import { describe, expect, it } from "vitest";
import { LockError } from "../../../src/lock/errors.js";
import type { HoldSession } from "../../../src/lock/daemon/session.js";
import { ask, asked, RESOURCE, startDaemon, type Daemon } from "../../support/lock-kit.js";
import { Stream } from "../../support/session-kit.js";

async function startHolding(daemon: Daemon, leaseId = "a", keeping?: Map<string, HoldSession>) {
  const stream = new Stream(daemon, keeping);
  stream.beat();
  stream.acquire(leaseId);
  await daemon.clock.settle();
  expect(stream.last("granted").lease.leaseId).toBe(leaseId);
  return stream;
}

function complaint(action: () => void): LockError {
  try {
    action();
  } catch (thrown) {
    if (thrown instanceof LockError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was thrown");
}

describe("a Hold stream", () => {
  it("begins with a heartbeat, or ends", () => {
    const stream = new Stream(startDaemon());
    for (const speak of [
      () => {
        stream.acquire("a");
      },
      () => {
        stream.resume("a");
      },
      () => {
        stream.release("a");
      },
    ]) {
      expect(complaint(speak)).toMatchObject({ kind: "invalid-field", field: "kind" });
    }
    expect(stream.said).toEqual([]);
  });

  it("ends when a heartbeat does not go forward", () => {
    const stream = new Stream(startDaemon());
    stream.session.hear({ kind: "heartbeat", seq: 5 });
    for (const seq of [5, 4, 0, -1, NaN]) {
      const error = complaint(() => {
        stream.session.hear({ kind: "heartbeat", seq });
      });
      expect(error).toMatchObject({ kind: "invalid-field", field: "seq" });
    }
    stream.session.hear({ kind: "heartbeat", seq: 90 });
    const first = complaint(() => {
      new Stream(startDaemon()).session.hear({ kind: "heartbeat", seq: 0 });
    });
    expect(first.field).toBe("seq");
  });

  it("grants what is free, echoing the newest heartbeat, and counts what is valid from that one", async () => {
    const daemon = startDaemon({ faults: () => ({ beforeMs: 100, afterMs: 50 }) });
    const { clock } = daemon;
    const stream = new Stream(daemon);
    stream.beat();
    await clock.advance(500);
    stream.acquire("a", { reason: "why", labels: { job: "7" } });
    await clock.advance(150);
    const granted = stream.last("granted");
    // 500 ms since the heartbeat, and asked right then: 12 s from the ask on are 12.5 s from there.
    expect(granted).toMatchObject({ seq: 1, validForMs: 12_500 });
    expect(granted.lease).toMatchObject({ leaseId: "a", reason: "why", labels: { job: "7" } });
    const endMs = clock.monotonicMs() + (daemon.store.current(RESOURCE)?.remainingMs ?? 0);
    expect(clock.monotonicMs() - 650 + granted.validForMs).toBeLessThanOrEqual(endMs);
  });

  it("tells a waiter its place, the holder without the lease's id, and the ttl to come", async () => {
    const daemon = startDaemon();
    const owner = await startHolding(daemon, "owner");
    const stream = new Stream(daemon);
    stream.beat();
    stream.acquire("w", { ttlMs: 5000 });
    await daemon.clock.advance(1);
    expect(stream.last("queued")).toMatchObject({
      ...{ resource: RESOURCE, position: 1, ttlMs: 5000 },
      holder: { principal: "owner@host", leaseId: "" },
    });
    stream.beat();
    await daemon.clock.advance(1000);
    stream.beat();
    owner.release("owner");
    await daemon.clock.settle();
    expect(owner.last("released")).toMatchObject({ leaseId: "owner", outcome: "released" });
    expect(stream.last("granted")).toMatchObject({ seq: 3, validForMs: 5000 });
    expect(stream.all("queued")).toHaveLength(1);
  });

  it("says why a lock cannot be had: held, used up, wrong, full, no store", async () => {
    let fails = false;
    const daemon = startDaemon({
      maxWaiters: 2,
      faults: () => (fails ? { fail: "before" } : undefined),
    });
    const { clock } = daemon;
    await startHolding(daemon, "owner");
    const stream = new Stream(daemon);
    stream.beat();
    const denied = async (...how: Parameters<Stream["acquire"]>) => {
      stream.acquire(...how);
      await clock.settle();
      return stream.last("denied");
    };
    expect(await denied("b", { waitMs: 0 })).toMatchObject({
      ...{ resource: RESOURCE, leaseId: "b", reason: "lock-held" },
      holder: { principal: "owner@host", leaseId: "" },
    });
    await daemon.locks.release({ resource: RESOURCE, leaseId: "owner" });
    expect(await denied("owner", { waitMs: 0 })).toMatchObject({ reason: "lease-lost" });
    expect(await denied("b", { ttlMs: 1 })).toMatchObject({ reason: "invalid-field" });
    expect(await denied("b", { resource: "a\u0000" })).toMatchObject({ reason: "invalid-field" });
    expect(await denied("")).toMatchObject({ reason: "invalid-field" });
    fails = true;
    expect(await denied("b", { waitMs: 0 })).toMatchObject({ reason: "unavailable" });
    daemon.locks.drain();
    expect(await denied("b")).toMatchObject({ reason: "unavailable" });
    expect(
      stream
        .all("denied")
        .map(({ message }) => message)
        .join(),
    ).not.toMatch(/owner(?!@)/u);
  });

  it("holds or awaits a resource once", async () => {
    const daemon = startDaemon();
    const { clock } = daemon;
    const stream = await startHolding(daemon);
    stream.acquire("b");
    await clock.settle();
    expect(stream.last("denied")).toMatchObject({ leaseId: "b", reason: "already-on-stream" });
    stream.resume("b");
    await clock.settle();
    expect(stream.last("denied")).toMatchObject({ leaseId: "b", reason: "already-on-stream" });

    ask(daemon.locks, "owner", { resource: "other" });
    await clock.settle();
    stream.acquire("c", { resource: "other" });
    stream.acquire("d", { resource: "other" });
    stream.acquire("c", { resource: "other" });
    await clock.settle();
    const denials = stream.all("denied").map(({ leaseId, reason }) => `${leaseId} ${reason}`);
    expect(denials.slice(2)).toEqual(["d already-on-stream", "c already-on-stream"]);
    expect(daemon.locks.waiters).toBe(1);
  });

  it("grants again what it holds to who asks again with the same id", async () => {
    const daemon = startDaemon();
    const stream = await startHolding(daemon);
    const { token } = stream.last("granted").lease;
    stream.acquire("a");
    await daemon.clock.settle();
    stream.resume("a");
    await daemon.clock.settle();
    expect(stream.all("granted").map(({ lease }) => lease.token)).toEqual([token, token, token]);
    expect(stream.all("lost")).toEqual([]);
    expect(stream.session.leases).toBe(1);
  });

  it("keeps no second resource under one lease id, and gives back what was granted for it", async () => {
    const daemon = startDaemon();
    const { clock, store } = daemon;
    const stream = await startHolding(daemon);
    stream.acquire("a", { resource: "other" });
    await clock.settle();
    expect(stream.last("denied")).toMatchObject({
      ...{ resource: "other", leaseId: "a", reason: "invalid-field" },
      message: expect.stringContaining("lease_id") as string,
    });
    expect(store.current("other")).toBeUndefined();
    // What it has is still kept.
    stream.release("a", "other");
    await clock.advance(4000);
    stream.beat();
    await clock.settle();
    expect(store.current(RESOURCE)).toMatchObject({ remainingMs: 12_000 });
  });

  it("takes the identity that a holder has proven for its principal", async () => {
    const daemon = startDaemon();
    const stream = new Stream(daemon, new Map(), "proven");
    stream.beat();
    stream.acquire("a", { principal: "claimed" });
    await daemon.clock.settle();
    expect(stream.last("granted").lease.principal).toBe("proven");
  });

  it("takes ten thousand leases and waits, and no more", { timeout: 60_000 }, async () => {
    const daemon = startDaemon();
    const { clock } = daemon;
    const stream = new Stream(daemon);
    stream.beat();
    for (let index = 0; index < 10_000; index++) {
      stream.acquire(`l${String(index)}`, { resource: `r${String(index)}` });
      if (index === 5000) await clock.settle();
    }
    stream.acquire("one", { resource: "too-many" });
    stream.resume("one", "too-many");
    expect(stream.all("denied").map(({ reason }) => reason)).toEqual([
      "unavailable",
      "unavailable",
    ]);
    await clock.settle();
    expect(stream.session.leases).toBe(10_000);
    stream.resume("one", "too-many");
    // What it has it may resume.
    stream.resume("l7", "r7");
    await clock.settle();
    expect(stream.all("denied")).toHaveLength(3);
    expect(stream.last("granted").lease.leaseId).toBe("l7");
  });
});

describe("a resume", () => {
  it("renews the lease once and grants it with the token it had, on any daemon", async () => {
    const first = startDaemon();
    const second = startDaemon({ store: first.store, clock: first.clock });
    const { clock } = first;
    const before = await startHolding(first);
    before.session.end();
    await clock.advance(8000);
    const after = new Stream(second);
    after.beat();
    after.resume("a");
    await clock.settle();
    expect(after.last("granted")).toMatchObject({
      ...{ seq: 1, validForMs: 12_000 },
      lease: { token: before.last("granted").lease.token, ttlMs: 12_000 },
    });
    expect(asked(second.backend)).toEqual([`renew ${RESOURCE}`]);
  });

  it("asks for no more life than its heartbeat was worth", async () => {
    const daemon = startDaemon({ faults: () => ({ beforeMs: 300 }) });
    const { clock, store } = daemon;
    ask(daemon.locks, "a", { ttlMs: 6000 });
    await clock.advance(3000);
    const stream = new Stream(daemon);
    stream.beat();
    await clock.advance(1000);
    stream.resume("a");
    await clock.advance(300);
    // Six seconds from the heartbeat on, and a second of them had gone by when the daemon asked.
    expect(store.current(RESOURCE)?.remainingMs).toBe(5000);
    expect(stream.last("granted").validForMs).toBe(6000);
  });

  it("of a stranger's lease, of one that has ended, or of none, is answered by Lost", async () => {
    const daemon = startDaemon();
    const { clock } = daemon;
    await startHolding(daemon, "owner");
    const stream = new Stream(daemon);
    stream.beat();
    stream.resume("stranger");
    stream.resume("x", "nobody-holds-it");
    for (const leaseId of ["", "i".repeat(129), "a b"]) stream.resume(leaseId);
    expect(stream.all("denied").map(({ reason }) => reason)).toEqual(
      Array<string>(3).fill("invalid-field"),
    );
    await clock.settle();
    expect(stream.all("lost")).toEqual([
      { kind: "lost", resource: RESOURCE, leaseId: "stranger", cause: "not-held" },
      { kind: "lost", resource: "nobody-holds-it", leaseId: "x", cause: "not-held" },
    ]);
    await clock.advance(12_000);
    stream.beat();
    stream.resume("owner");
    await clock.settle();
    expect(stream.last("lost")).toMatchObject({ leaseId: "owner" });
    expect(await daemon.locks.current(RESOURCE)).toBeUndefined();
  });

  // How it was lost makes no difference: here it has run out while nobody beat.
  it.each([
    ["resumed", "resume", "lost"],
    ["asked for again", "acquire", "denied"],
  ] as const)("of a lease that is %s and found lost ends its keeping", async (_how, ask, said) => {
    const daemon = startDaemon();
    const { clock } = daemon;
    const stream = await startHolding(daemon, "a");
    await clock.advance(12_000);
    stream[ask]("a");
    await clock.settle();
    expect(stream.last(said)).toMatchObject({ leaseId: "a" });
    expect(stream.session.leases).toBe(0);
    stream.acquire("b");
    await clock.settle();
    expect(stream.last("granted").lease.leaseId).toBe("b");
    stream.beat();
    await clock.settle();
    expect(stream.all("lost").length + stream.all("denied").length).toBe(1);
  });

  it("on a second stream takes the lease over from the first, which hears of it and keeps it no more", async () => {
    const daemon = startDaemon();
    const { clock, store } = daemon;
    const keeping = new Map<string, HoldSession>();
    const first = await startHolding(daemon, "a", keeping);
    const second = new Stream(daemon, keeping);
    second.beat();
    second.resume("a");
    await clock.settle();
    expect(first.last("lost")).toEqual({
      ...{ kind: "lost", resource: RESOURCE, leaseId: "a", cause: "resumed-elsewhere" },
    });
    expect([first.session.leases, second.session.leases]).toEqual([0, 1]);
    first.session.end();
    await clock.advance(11_000);
    first.said.length = 0;
    second.beat();
    await clock.settle();
    expect(store.current(RESOURCE)?.remainingMs).toBe(12_000);
    second.session.end();
    expect(keeping.size).toBe(0);
  });

  it("leaves alone a lease of another resource that has the same id", async () => {
    const daemon = startDaemon();
    const { clock, store } = daemon;
    const keeping = new Map<string, HoldSession>();
    const first = await startHolding(daemon, "a", keeping);
    const second = new Stream(daemon, keeping);
    second.beat();
    second.acquire("a", { resource: "other" });
    await clock.settle();
    expect(second.all("granted")).toHaveLength(1);
    expect(first.all("lost")).toEqual([]);
    await clock.advance(5000);
    first.beat();
    await clock.settle();
    expect(store.current(RESOURCE)?.remainingMs).toBe(12_000);
    const third = new Stream(daemon, keeping);
    third.beat();
    third.resume("a");
    await clock.settle();
    expect(first.last("lost")).toMatchObject({ cause: "resumed-elsewhere" });
    third.session.end();
    first.session.end();
    second.session.end();
    expect(keeping.size).toBe(0);
  });

  it("is tried for five seconds while the store does not answer, and then put off", async () => {
    let fails = true;
    const daemon = startDaemon({ faults: () => (fails ? { fail: "before" } : undefined) });
    const { clock } = daemon;
    const stream = new Stream(daemon);
    stream.beat();
    stream.resume("a");
    expect(stream.session.busy).toBe(1);
    await clock.advance(4500);
    expect(stream.said.filter(({ kind }) => kind !== "heartbeat-ack")).toEqual([]);
    await clock.advance(500);
    expect(stream.last("denied")).toMatchObject({ leaseId: "a", reason: "unavailable" });
    expect([stream.session.busy, clock.pending]).toEqual([0, 0]);

    stream.resume("a");
    await clock.advance(1000);
    fails = false;
    await clock.advance(200);
    expect(stream.last("lost")).toMatchObject({ leaseId: "a" });
  });
});

describe("a release", () => {
  it("of a lease ends it, is answered once, and lets the next in the queue have it", async () => {
    const daemon = startDaemon();
    const { clock } = daemon;
    const stream = await startHolding(daemon);
    const next = ask(daemon.locks, "next", { waitMs: Infinity });
    await clock.settle();
    stream.release("a");
    await clock.settle();
    expect(next.kind).toBe("granted");
    expect(stream.all("released")).toEqual([
      { kind: "released", resource: RESOURCE, leaseId: "a", outcome: "released" },
    ]);
    stream.release("a");
    await clock.settle();
    expect(stream.last("released").outcome).toBe("not-held");
    expect(stream.session.leases).toBe(0);
  });

  it("of a wait ends that, and is the only answer to it", async () => {
    const daemon = startDaemon();
    const { clock } = daemon;
    await startHolding(daemon, "owner");
    const stream = new Stream(daemon);
    stream.beat();
    stream.acquire("w");
    await clock.settle();
    stream.release("w");
    await clock.settle();
    expect(stream.last("released")).toMatchObject({ leaseId: "w", outcome: "not-held" });
    expect(stream.all("denied")).toEqual([]);
    expect(daemon.locks.waiters).toBe(0);
    // There is room for another wait at once, and for one only.
    stream.acquire("again");
    await clock.settle();
    stream.release("again");
    stream.acquire("once-more");
    await clock.settle();
    expect([stream.all("denied").length, daemon.locks.waiters]).toEqual([0, 1]);
    stream.acquire("twice");
    await clock.settle();
    expect(stream.last("denied")).toMatchObject({ leaseId: "twice", reason: "already-on-stream" });
  });

  it("of a wait that is being granted in this moment ends the lease", async () => {
    const daemon = startDaemon({
      faults: ({ method }) => (method === "acquire" ? { afterMs: 50 } : undefined),
    });
    const { clock, store } = daemon;
    const stream = new Stream(daemon);
    stream.beat();
    stream.acquire("w");
    await clock.advance(20);
    expect(store.current(RESOURCE)).toBeDefined();
    stream.release("w");
    await clock.advance(100);
    expect(store.current(RESOURCE)).toBeUndefined();
    expect(stream.kinds.filter((kind) => kind !== "heartbeat-ack")).toEqual(["released"]);
    expect(stream.session.leases).toBe(0);
  });

  it("that comes while the resume is on its way leaves nothing that is kept", async () => {
    const daemon = startDaemon({ faults: () => ({ beforeMs: 20 }) });
    const { clock } = daemon;
    ask(daemon.locks, "a");
    await clock.advance(20);
    const stream = new Stream(daemon);
    stream.beat();
    stream.resume("a");
    await clock.advance(5);
    stream.release("a");
    await clock.advance(100);
    expect(stream.last("released").outcome).toBe("released");
    expect(stream.session.leases).toBe(0);
    stream.acquire("b");
    await clock.advance(100);
    expect(stream.last("granted").lease.leaseId).toBe("b");
  });

  it("ends the keeping at once: a heartbeat that follows renews nothing and finds nothing lost", async () => {
    let slow = false;
    const daemon = startDaemon({ faults: () => (slow ? { beforeMs: 100 } : undefined) });
    const { clock, backend } = daemon;
    const stream = await startHolding(daemon);
    await clock.advance(4000);
    slow = true;
    stream.release("a");
    stream.beat();
    await clock.advance(500);
    expect(asked(backend)).toEqual([`acquire ${RESOURCE}`, `release ${RESOURCE}`]);
    expect(stream.all("lost")).toEqual([]);
  });

  it("of a stranger's lease, or of a stranger's id, releases nothing", async () => {
    const daemon = startDaemon();
    const { clock } = daemon;
    const owner = await startHolding(daemon, "owner");
    const stream = new Stream(daemon);
    stream.beat();
    stream.release("mine");
    await clock.settle();
    expect(stream.last("released").outcome).toBe("not-held");
    expect(await daemon.locks.isHeld({ resource: RESOURCE, leaseId: "owner" })).toBe(true);
    expect(owner.session.leases).toBe(1);
  });

  it("is tried again while the store does not answer", async () => {
    let fails = false;
    const daemon = startDaemon({ faults: () => (fails ? { fail: "before" } : undefined) });
    const { clock, store } = daemon;
    const stream = await startHolding(daemon);
    fails = true;
    stream.release("a");
    await clock.advance(3000);
    expect(stream.all("released")).toEqual([]);
    fails = false;
    await clock.advance(200);
    expect(stream.last("released").outcome).toBe("released");
    expect(store.current(RESOURCE)).toBeUndefined();
  });

  it("that the store has carried out without a word is no loss: its holder has to ask again", async () => {
    let fails = false;
    const daemon = startDaemon({
      faults: ({ method }) => (fails && method === "release" ? { fail: "after" } : undefined),
    });
    const { clock } = daemon;
    const stream = await startHolding(daemon);
    fails = true;
    stream.release("a");
    await clock.advance(100);
    fails = false;
    await clock.advance(1000);
    expect(stream.all("released")).toEqual([]);
    expect(stream.last("denied")).toMatchObject({ leaseId: "a", reason: "unavailable" });
    stream.release("a");
    await clock.settle();
    expect(stream.last("released").outcome).toBe("not-held");
  });
});

describe("the end of a stream", () => {
  it("releases nothing, and ends its waits at once", async () => {
    const daemon = startDaemon();
    const { clock, store, locks } = daemon;
    ask(locks, "owner", { resource: "other" });
    const stream = await startHolding(daemon);
    stream.acquire("w", { resource: "other" });
    await clock.settle();
    const calls = daemon.backend.calls.length;
    const said = stream.said.length;
    stream.session.end();
    await clock.settle();
    expect(locks.waiters).toBe(0);
    expect(store.current(RESOURCE)).toMatchObject({ leaseId: "a" });
    expect(stream.said).toHaveLength(said);
    expect(daemon.backend.calls).toHaveLength(calls);
    expect([locks.busyResources, clock.pending]).toEqual([0, 0]);
  });

  it("takes back a grant that comes after it, unless somebody has touched that since", async () => {
    for (const isTouched of [false, true]) {
      const daemon = startDaemon({
        faults: ({ method }) => (method === "acquire" ? { afterMs: 50 } : undefined),
      });
      const other = startDaemon({ store: daemon.store, clock: daemon.clock });
      const { clock, store } = daemon;
      const stream = new Stream(daemon);
      stream.beat();
      stream.acquire("a");
      await clock.advance(20);
      stream.session.end();
      if (isTouched) {
        const resumed = new Stream(other);
        resumed.beat();
        resumed.acquire("a");
        await clock.settle();
        expect(resumed.all("granted")).toHaveLength(1);
      }
      await clock.advance(100);
      expect(store.current(RESOURCE) !== undefined).toBe(isTouched);
      expect(stream.all("granted")).toEqual([]);
    }
  });

  it("leaves a lease that is being resumed on it as it is, and says nothing any more", async () => {
    const daemon = startDaemon({
      faults: ({ method }) => (method === "acquire" ? undefined : { afterMs: 50 }),
    });
    const { clock, store } = daemon;
    ask(daemon.locks, "a");
    await clock.settle();
    const stream = new Stream(daemon);
    stream.beat();
    await clock.settle();
    stream.resume("a");
    stream.resume("b", "other");
    stream.release("c", "third");
    await clock.advance(20);
    const said = stream.said.length;
    stream.session.end();
    await clock.advance(1000);
    expect(store.current(RESOURCE)).toMatchObject({ leaseId: "a" });
    expect(stream.said).toHaveLength(said);
    expect([stream.session.leases, clock.pending]).toEqual([0, 0]);
  });
});
