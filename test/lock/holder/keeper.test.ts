import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { holderDeadlineMs } from "../../../src/lock/holder/deadline.js";
import { LockError, type ErrorKind } from "../../../src/lock/errors.js";
import type { Lease } from "../../../src/lock/lease.js";
import { acknowledge, obey, startKeeper, TTL_MS, type Behaviour } from "../../support/link-kit.js";
import { RESOURCE, Watched } from "../../support/lock-kit.js";

const error = (kind: ErrorKind, message: string = kind) => new LockError(kind, message);

/** A keeper that holds one lock since this moment. */
async function startHeld(
  behave: Behaviour = obey,
  options: Parameters<typeof startKeeper>[0] = {},
) {
  const started = startKeeper({ behave: obey, ...options });
  const holder = started.hold();
  await started.clock.settle();
  const { hold } = holder;
  expect(hold.state).toBe("HELD");
  for (const index of [0, 1])
    if (index < (options.addresses ?? 2)) started.at(index).behave = behave;
  const lost = { why: undefined as LockError | undefined };
  hold.signal.addEventListener("abort", () => {
    lost.why = hold.signal.reason as LockError;
  });
  return { ...started, held: hold, lost, t0: started.clock.monotonicMs() };
}

describe("taking a lock", () => {
  it("sends a heartbeat first, then the ask, and another heartbeat right after the grant", async () => {
    const { clock, hold, at } = startKeeper();
    const holder = hold({ reason: "why", labels: { job: "7" }, waitMs: 5000 });
    await clock.settle();
    const { link } = at(0);
    expect(link.kinds).toEqual(["heartbeat", "acquire"]);
    expect(link.last("acquire")).toMatchObject({
      ...{ resource: RESOURCE, principal: "ann", ttlMs: TTL_MS, waitMs: 5000 },
      ...{ reason: "why", labels: { job: "7" } },
    });
    link.ack();
    await clock.advance(100);
    link.grant();
    await clock.settle();
    expect(link.kinds).toEqual(["heartbeat", "acquire", "heartbeat"]);
    expect(holder.hold).toMatchObject({ token: 7n, state: "HELD", isHeld: true });
    expect(holder.hold.leaseId).toMatch(/^[0-9a-f]{32}$/u);
  });

  it("sends a heartbeat right before an ask on a stream that is open already", async () => {
    const { clock, hold, at } = await startHeld(acknowledge);
    await clock.advance(1000);
    const before = at(0).link.heard.length;
    hold({ resource: "second" });
    await clock.settle();
    expect(at(0).link.kinds.slice(before)).toEqual(["heartbeat", "acquire"]);
  });

  it("believes from the heartbeat that the grant echoes, not from the grant", async () => {
    const { clock, hold, at } = startKeeper({ behave: acknowledge });
    const t0 = clock.monotonicMs();
    const holder = hold();
    await clock.advance(3000);
    at(0).behave = () => undefined;
    at(0).link.grant({}, 1);
    await clock.settle();
    expect(holder.hold.deadlineMs).toBe(holderDeadlineMs(t0, TTL_MS, TTL_MS));
  });

  it("hands over no lock that is nearly over: a grant that a slow store held up waits for the ack", async () => {
    const { clock, hold, at } = startKeeper();
    const holder = hold();
    await clock.settle();
    const { link } = at(0);
    link.ack();
    link.grant({}, link.seq, TTL_MS / 4);
    await clock.settle();
    expect(holder.kind).toBe("open");
    expect(link.kinds).toEqual(["heartbeat", "acquire", "heartbeat"]);
    // Nor does an ack that knows no better.
    const { leaseId } = link.last("acquire");
    link.ack(link.seq, 1, [{ leaseId, validForMs: TTL_MS / 4 }]);
    await clock.settle();
    expect(holder.kind).toBe("open");
    const sentAtMs = clock.monotonicMs();
    link.ack();
    await clock.settle();
    expect(holder.hold.state).toBe("HELD");
    expect(holder.hold.deadlineMs).toBe(holderDeadlineMs(sentAtMs, TTL_MS, TTL_MS));
    expect(link.all("acquire")).toHaveLength(1);
  });

  it("does not believe in a grant that echoes an unknown heartbeat, or comes too late, until an ack confirms it", async () => {
    for (const isUnknown of [true, false]) {
      const { clock, hold, at } = startKeeper({ behave: acknowledge });
      const holder = hold();
      await clock.advance(11_500);
      const { link } = at(0);
      at(0).behave = () => undefined;
      if (isUnknown) link.grant({}, 999);
      else link.grant({}, link.all("heartbeat")[0]?.seq);
      await clock.settle();
      expect(holder.kind).toBe("open");
      const sentAtMs = clock.monotonicMs();
      link.ack();
      await clock.settle();
      expect(holder.hold.deadlineMs).toBe(holderDeadlineMs(sentAtMs, TTL_MS, TTL_MS));
    }
  });

  it("sends heartbeats while it waits, each a third of the ttl after the other", async () => {
    const { clock, hold, at } = startKeeper({ behave: acknowledge });
    hold();
    await clock.advance(3999);
    expect(at(0).link.all("heartbeat")).toHaveLength(1);
    await clock.advance(1);
    expect(at(0).link.all("heartbeat")).toHaveLength(2);
    await clock.advance(8000);
    expect(at(0).link.all("heartbeat")).toHaveLength(4);
    expect(
      at(0)
        .link.all("heartbeat")
        .map(({ seq }) => seq),
    ).toEqual([1, 2, 3, 4]);
  });

  it("sends none less often than every 15 s, and counts the ttl that a daemon tells a waiter", async () => {
    const { clock, hold, at } = startKeeper({ behave: acknowledge });
    hold({ ttlMs: undefined });
    await clock.advance(14_999);
    expect(at(0).link.all("heartbeat")).toHaveLength(1);
    await clock.advance(1);
    expect(at(0).link.all("heartbeat")).toHaveLength(2);
    at(0).link.say({
      ...{ kind: "queued", resource: RESOURCE, position: 1, holder: undefined, ttlMs: 3000 },
    });
    await clock.advance(3000);
    expect(at(0).link.all("heartbeat")).toHaveLength(5);
  });

  it("tells of the place in the queue, and of who stands in the way", async () => {
    const { clock, hold, at } = startKeeper({ behave: acknowledge });
    const told: [number, string | undefined][] = [];
    const holder = hold({
      onQueued: (position, lease) => told.push([position, lease?.principal]),
    });
    await clock.settle();
    const bob = { principal: "bob", token: 3n } as Lease;
    at(0).link.say({ kind: "queued", resource: RESOURCE, position: 2, holder: bob, ttlMs: TTL_MS });
    at(0).link.say({ kind: "queued", resource: "other", position: 9, holder: bob, ttlMs: TTL_MS });
    await clock.settle();
    expect(told).toEqual([[2, "bob"]]);
    at(0).link.deny("lock-held", bob);
    await clock.settle();
    expect(holder.value).toEqual({ kind: "denied", holder: bob, message: "because lock-held" });
    expect(clock.pending).toBe(0);
  });

  it("is refused for a resource that is held or awaited already, and possible after its release", async () => {
    const { clock, hold, held } = await startHeld();
    const twice = hold();
    await clock.settle();
    expect(twice.error).toMatchObject({ kind: "invalid-field", field: "resource" });
    void held.release();
    const again = hold();
    await clock.settle();
    expect(again.hold.leaseId).not.toBe(held.leaseId);
    expect(again.hold.isHeld).toBe(true);
  });

  it.each([
    ["invalid-field", "invalid-field"],
    ["not-allowed", "not-allowed"],
    ["already-on-stream", "invalid-field"],
  ] as const)("ends with the daemon's words when it says %s", async (reason, kind) => {
    const { clock, hold, at } = startKeeper({ behave: acknowledge });
    const holder = hold();
    await clock.settle();
    at(0).link.deny(reason);
    await clock.settle();
    expect(holder.error).toMatchObject({ kind, message: `because ${reason}` });
    expect(clock.pending).toBe(0);
  });

  it("is asked for again with the same id when the daemon's store does not answer, and with a new one when that is used up", async () => {
    const { clock, hold, at } = startKeeper({ addresses: 1, behave: acknowledge });
    const holder = hold();
    await clock.settle();
    const { link } = at(0);
    const first = link.last("acquire").leaseId;
    link.deny("unavailable");
    await clock.advance(249);
    expect(link.all("acquire")).toHaveLength(1);
    await clock.advance(1);
    expect(link.all("acquire").map(({ leaseId }) => leaseId)).toEqual([first, first]);
    link.deny("lease-lost");
    await clock.advance(250);
    const third = link.last("acquire").leaseId;
    expect(third).not.toBe(first);
    // A grant under the old id is nobody's any more.
    link.grant({ leaseId: first });
    await clock.settle();
    expect(link.last("release").leaseId).toBe(first);
    expect(holder.kind).toBe("open");
    link.grant({ leaseId: third });
    await clock.settle();
    expect(holder.hold.leaseId).toBe(third);
  });
});

describe("keeping a lock", () => {
  it("moves the deadline with every ack, counted from before the heartbeat was sent", async () => {
    const { clock, at, held, t0 } = await startHeld(() => undefined);
    const changes: number[] = [];
    held.watch(() => changes.push(held.deadlineMs));
    await clock.advance(4000);
    const { link } = at(0);
    await clock.advance(900);
    link.ack();
    await clock.settle();
    expect(held.deadlineMs).toBe(holderDeadlineMs(t0 + 4000, TTL_MS, TTL_MS));
    expect(changes).toEqual([held.deadlineMs]);
    await clock.advance(3100);
    link.ack(link.seq, 0.6);
    await clock.settle();
    // Of less ttl from a later heartbeat only what is later counts.
    expect(held.deadlineMs).toBe(holderDeadlineMs(t0 + 4000, TTL_MS, TTL_MS));
  });

  it("goes by its own ttl, whatever a straying word says of another", async () => {
    const { clock, at, held, t0 } = await startHeld(() => undefined);
    const { link } = at(0);
    link.say({ kind: "queued", resource: RESOURCE, position: 1, holder: undefined, ttlMs: 60_000 });
    await clock.advance(4000);
    link.ack();
    await clock.settle();
    expect(held.deadlineMs).toBe(holderDeadlineMs(t0 + 4000, TTL_MS, TTL_MS));
  });

  it("goes by the ttl that the daemon has given it", async () => {
    const { clock, hold, at } = startKeeper();
    const holder = hold({ ttlMs: undefined });
    await clock.settle();
    const t0 = clock.monotonicMs();
    at(0).link.grant({ ttlMs: 3000 });
    await clock.settle();
    expect(holder.hold.deadlineMs).toBe(holderDeadlineMs(t0, 3000, 3000));
    await clock.advance(1500);
    expect(holder.hold.state).toBe("AT_RISK");
  });

  it("takes for itself what an ack says of it alone", async () => {
    const { clock, at, held, t0 } = await startHeld(() => undefined);
    await clock.advance(4000);
    at(0).link.ack(at(0).link.seq, 1, [{ leaseId: held.leaseId, validForMs: 9000 }]);
    await clock.settle();
    expect(held.deadlineMs).toBe(holderDeadlineMs(t0 + 4000, 9000, TTL_MS));
  });

  it("is at risk when no ack has come for half a ttl, lost at the deadline, and then for good", async () => {
    const { clock, at, held, lost, t0 } = await startHeld(() => undefined, {
      ...{ addresses: 1, random: () => 0.77 },
    });
    const states: string[] = [];
    const told: number[] = [];
    held.watch(() => {
      states.push(held.state);
      told.push(clock.monotonicMs());
    });
    const { deadlineMs } = held;
    at(0).refusal = error("unreachable");
    await clock.advance(5999);
    expect(held.state).toBe("HELD");
    await clock.advance(1);
    expect(held.state).toBe("AT_RISK");
    await clock.advance(deadlineMs - clock.monotonicMs() - 1);
    expect([held.isHeld, lost.why]).toEqual([true, undefined]);
    await clock.advance(1);
    expect(held.isHeld).toBe(false);
    expect(lost.why).toMatchObject({ kind: "lease-lost" });
    expect(states).toEqual(["AT_RISK", "LOST"]);
    expect(told).toEqual([t0 + 6000, deadlineMs]);

    // The daemon is back and knows nothing of it: it is released, not resumed.
    at(0).refusal = undefined;
    at(0).behave = obey;
    await clock.advance(5000);
    expect(held.state).toBe("LOST");
    expect(at(0).links.flatMap((link) => link.all("resume")).length).toBeGreaterThanOrEqual(0);
    expect(at(0).link.all("release")).toHaveLength(1);
  });

  it("lets no late ack revive what is lost, though the ack speaks of a later heartbeat", async () => {
    const { clock, at, held } = await startHeld(() => undefined, { addresses: 1 });
    const { link } = at(0);
    const { deadlineMs } = held;
    await clock.advance(3500);
    // Silent, but not so long that the stream is left.
    link.ack(2, 0.5);
    await clock.advance(deadlineMs - clock.monotonicMs());
    at(0).link.ack(at(0).link.all("heartbeat").at(-1)?.seq ?? 0);
    await clock.settle();
    expect(held.state).toBe("LOST");
  });

  it("releases what was lost not before it would have ended by itself", async () => {
    const { clock, at, held, t0 } = await startHeld(() => undefined, { addresses: 1 });
    at(0).refusal = error("unreachable");
    await clock.advance(8000);
    at(0).refusal = undefined;
    at(0).behave = (link, message) => {
      if (message.kind !== "resume") acknowledge(link, message);
    };
    await clock.advance(3500);
    expect(held.state).toBe("LOST");
    await clock.advance(t0 + TTL_MS - 1 - clock.monotonicMs());
    expect(at(0).link.all("release")).toEqual([]);
    await clock.advance(1);
    expect(at(0).link.all("release")).toHaveLength(1);
  });

  it("is lost at once when the daemon says so, and nothing is released for it", async () => {
    const { clock, at, held, lost } = await startHeld();
    at(0).link.say({
      ...{ kind: "lost", resource: RESOURCE, leaseId: held.leaseId, cause: "not-held" },
    });
    await clock.settle();
    expect(held.state).toBe("LOST");
    expect(lost.why?.message).toContain("not-held");
    expect(lost.why?.message).not.toContain(held.leaseId);
    expect(at(0).link.all("release")).toEqual([]);
    expect(await held.release()).toBe("not-held");
    expect(clock.pending).toBe(0);
  });

  it("is not moved by what is said of another lease id, or of one of before", async () => {
    const { clock, at, held } = await startHeld();
    for (const leaseId of ["stranger", ""]) {
      at(0).link.say({ kind: "lost", resource: RESOURCE, leaseId, cause: "expired" });
      at(0).link.say({ kind: "lost", resource: "other", leaseId: held.leaseId, cause: "expired" });
      at(0).link.say({ kind: "released", resource: RESOURCE, leaseId, outcome: "released" });
      at(0).link.ack(999);
    }
    await clock.settle();
    expect(held.state).toBe("HELD");
  });

  it("speaks with one heartbeat and one alarm for all locks, however many there are", async () => {
    const { clock, hold, at } = startKeeper({ behave: obey });
    const holders = Array.from({ length: 500 }, (_, index) =>
      hold({ resource: `r${String(index)}` }),
    );
    await clock.settle();
    expect(new Set(holders.map(({ kind }) => kind))).toEqual(new Set(["held"]));
    expect(at(0).links).toHaveLength(1);
    expect(clock.pending).toBe(1);
    const before = at(0).link.heard.length;
    await clock.advance(60_000);
    expect(at(0).link.heard.length - before).toBe(15);
    expect(clock.pending).toBe(1);
    expect(holders.every(({ hold: each }) => each.state === "HELD")).toBe(true);
  });

  it("beats as the shortest ttl of all wants it, a waiting one's included", async () => {
    const { clock, hold, at } = await startHeld();
    at(0).behave = (link, message) => {
      if (message.kind !== "acquire") obey(link, message);
    };
    hold({ resource: "short", ttlMs: 3000 });
    await clock.settle();
    const before = at(0).link.all("heartbeat").length;
    await clock.advance(3000);
    expect(at(0).link.all("heartbeat").length - before).toBe(3);
  });
});

describe("a stream that breaks", () => {
  it("is no loss: the lease is resumed on the next address at once, with the same token and id", async () => {
    const { clock, at, held, lost } = await startHeld();
    await clock.advance(2000);
    at(0).link.break(error("unavailable"));
    await clock.settle();
    expect(at(0).link.isClosed).toBe(true);
    expect(at(1).link.kinds.slice(0, 2)).toEqual(["heartbeat", "resume"]);
    expect(at(1).link.last("resume")).toMatchObject({ leaseId: held.leaseId });
    expect([held.state, held.token, lost.why]).toEqual(["HELD", 7n, undefined]);
    expect(held.deadlineMs).toBe(holderDeadlineMs(clock.monotonicMs(), TTL_MS, TTL_MS));
    at(0).link.break(error("unavailable", "once more"));
    await clock.settle();
    expect(at(1).link.isClosed).toBe(false);
    await clock.advance(60_000);
    expect(held.state).toBe("HELD");
    expect(at(1).links).toHaveLength(1);
  });

  it("is left when a heartbeat stays unanswered for a period, or 5 s, whatever the connection says", async () => {
    for (const [ttlMs, silenceMs] of [
      [TTL_MS, 4000],
      [60_000, 5000],
    ] as const) {
      const { clock, hold, at } = startKeeper();
      hold({ ttlMs });
      await clock.advance(silenceMs - 1);
      expect(at(1).links).toHaveLength(0);
      await clock.advance(1);
      expect([at(0).link.isClosed, at(1).links.length]).toEqual([true, 1]);
    }
  });

  it("has its acks, and those of the one before, ignored by leases that were not granted on it", async () => {
    const { clock, at, held } = await startHeld(() => undefined);
    const old = at(0).link;
    const oldSeq = old.seq;
    await clock.advance(1000);
    old.break(error("unavailable"));
    await clock.settle();
    const { deadlineMs } = held;
    await clock.advance(500);
    // K4: this daemon has not granted it yet.
    at(1).link.ack();
    old.ack(oldSeq);
    await clock.settle();
    expect(held.deadlineMs).toBe(deadlineMs);
    at(1).link.grant({ leaseId: held.leaseId });
    await clock.settle();
    expect(held.deadlineMs).toBeGreaterThan(deadlineMs);
  });

  it("does not end a wait: it is asked for again with the same id, for what is left of the wait", async () => {
    const { clock, hold, at } = startKeeper({ behave: acknowledge });
    const holder = hold({ waitMs: 20_000 });
    await clock.advance(8000);
    at(0).link.break(error("unavailable"));
    await clock.settle();
    expect(at(1).link.kinds).toEqual(["heartbeat", "acquire"]);
    expect(at(1).link.last("acquire")).toMatchObject({
      leaseId: at(0).link.last("acquire").leaseId,
      waitMs: 12_000,
    });
    at(1).link.grant();
    await clock.settle();
    expect(holder.hold.isHeld).toBe(true);
  });

  it("is left when the daemon drains, for the next address, with all leases", async () => {
    const { clock, hold, at, held } = await startHeld();
    const second = hold({ resource: "second" });
    await clock.settle();
    at(0).link.say({ kind: "draining", resumeWithinMs: 4000 });
    await clock.settle();
    expect(at(0).link.isClosed).toBe(true);
    expect(at(0).link.all("release")).toEqual([]);
    expect(
      at(1)
        .link.all("resume")
        .map(({ resource }) => resource),
    ).toEqual([RESOURCE, "second"]);
    expect([held.state, second.hold.state]).toEqual(["HELD", "HELD"]);
  });

  it("is opened anew in rounds over all addresses, with pauses that grow to a second", async () => {
    const { clock, at, keeper, hold } = startKeeper({ patienceMs: 60_000 });
    for (const index of [0, 1]) at(index).refusal = error("unreachable");
    const holder = hold();
    await clock.advance(6000);
    const times = at(0).links.map(({ openedAtMs }) => openedAtMs);
    const pauses = times.slice(1).map((atMs, index) => atMs - (times[index] ?? 0));
    expect(pauses.slice(0, 5)).toEqual([50, 100, 200, 400, 800]);
    expect(at(0).links.length + at(1).links.length).toBeLessThan(22);
    expect(holder.kind).toBe("open");
    void keeper[Symbol.asyncDispose]();
    await clock.settle();
    expect(holder.kind).toBe("cancelled");
  });

  it("is not opened anew in a hurry by daemons that answer once and then close", async () => {
    const { clock, at, hold } = startKeeper({
      behave: (link, message) => {
        acknowledge(link, message);
        if (message.kind === "acquire") link.break(error("unavailable"));
      },
    });
    hold();
    // However often the loop turns while no time passes.
    for (let count = 0; count < 20; count++) await clock.settle();
    expect(at(0).links.length + at(1).links.length).toBe(2);
    await clock.advance(10_000);
    expect(at(0).links.length + at(1).links.length).toBeLessThan(32);
  });

  it("after it has lived for a while is opened anew as soon as the first was", async () => {
    const { clock, at, held } = await startHeld(obey, { addresses: 1 });
    for (let round = 1; round < 8; round++) {
      await clock.advance(60_000);
      at(0).link.break(error("unavailable"));
      await clock.advance(49);
      expect(at(0).links).toHaveLength(round);
      await clock.advance(1);
      expect(at(0).links).toHaveLength(round + 1);
    }
    expect(held.state).toBe("HELD");
  });

  it("ends those who wait when the daemon's reason is definite, and not those who hold", async () => {
    const { clock, hold, at, held } = await startHeld();
    at(0).behave = acknowledge;
    const waiting = hold({ resource: "second" });
    await clock.settle();
    at(0).link.break(error("not-allowed", "no certificate"));
    await clock.settle();
    expect(waiting.error).toMatchObject({ kind: "not-allowed", message: "no certificate" });
    expect(held.isHeld).toBe(true);
    expect(at(1).link.last("resume").leaseId).toBe(held.leaseId);
  });
});

describe("giving up", () => {
  it("comes when nobody can be reached for as long as patience lasts, and says what was wrong", async () => {
    const { clock, hold, at } = startKeeper({ patienceMs: 3000 });
    for (const index of [0, 1]) at(index).refusal = error("unreachable", "refused");
    const holder = hold();
    await clock.advance(2999);
    expect(holder.kind).toBe("open");
    await clock.advance(1);
    expect(holder.error).toMatchObject({ kind: "unreachable", message: "refused" });
    await clock.advance(5000);
    expect(clock.pending).toBe(0);

    // The next to ask has patience of its own, and a daemon that is back again.
    for (const index of [0, 1]) {
      at(index).refusal = undefined;
      at(index).behave = obey;
    }
    await clock.advance(60_000);
    const again = hold();
    await clock.settle();
    expect(again.hold.isHeld).toBe(true);
    // Nobody has heard of the first, so there was nothing to take back.
    expect(
      at(0)
        .links.concat(at(1).links)
        .flatMap((link) => link.all("release")),
    ).toEqual([]);
  });

  it("does not come for a wait that has stood in a queue: it is told once of every silence, and goes on", async () => {
    const { clock, hold, at } = startKeeper({
      addresses: 1,
      behave: acknowledge,
      patienceMs: 3000,
    });
    const told: string[] = [];
    const holder = hold({ onSilence: ({ message }) => told.push(message) });
    await clock.settle();
    const queued = { kind: "queued", resource: RESOURCE, position: 1, ttlMs: TTL_MS } as const;
    for (const round of [1, 2]) {
      at(0).link.say({ ...queued, holder: undefined });
      at(0).refusal = error("unreachable", `refused ${String(round)}`);
      at(0).link.break(error("unavailable"));
      await clock.advance(2900);
      expect(told).toHaveLength(round - 1);
      await clock.advance(600_000);
      expect(told).toHaveLength(round);
      expect(told.at(-1)).toBe(`refused ${String(round)}`);
      expect(holder.kind).toBe("open");
      at(0).refusal = undefined;
      await clock.advance(1000);
    }
    const ids = at(0).links.flatMap((link) => link.all("acquire").map(({ leaseId }) => leaseId));
    expect(new Set(ids).size).toBe(1);
    at(0).link.grant();
    await clock.settle();
    expect(holder.hold.isHeld).toBe(true);
  });

  it("comes five seconds after the end of a wait that has stood in a queue, when nobody answers then", async () => {
    const { clock, hold, at } = startKeeper({
      addresses: 1,
      behave: acknowledge,
      patienceMs: 3000,
    });
    const holder = hold({ waitMs: 60_000 });
    await clock.settle();
    const holderOfIt = { principal: "bob" } as Lease;
    at(0).link.say({
      ...{ kind: "queued", resource: RESOURCE, position: 1, holder: holderOfIt, ttlMs: TTL_MS },
    });
    at(0).refusal = error("unreachable", "refused");
    at(0).link.break(error("unavailable"));
    await clock.advance(64_999);
    expect(holder.kind).toBe("open");
    await clock.advance(1);
    expect(holder.error).toMatchObject({ kind: "unreachable", message: "refused" });
    await clock.advance(5000);
    expect(clock.pending).toBe(0);
  });

  it("does not come either for a wait that was told to outlast all silence, though nobody ever answers", async () => {
    const { clock, hold, at } = startKeeper({ addresses: 1, patienceMs: 3000 });
    at(0).refusal = error("unreachable", "refused");
    const told: string[] = [];
    const holder = hold({ outlastsSilence: true, onSilence: ({ kind }) => told.push(kind) });
    await clock.advance(600_000);
    expect([holder.kind, told]).toEqual(["open", ["unreachable"]]);
    at(0).refusal = undefined;
    at(0).behave = obey;
    await clock.advance(1000);
    expect(holder.hold.isHeld).toBe(true);
  });

  it("comes as unavailable when daemons are there and say nothing", async () => {
    const { clock, hold } = startKeeper({ addresses: 1 });
    const holder = hold({ ttlMs: 60_000 });
    await clock.advance(10_001);
    expect(holder.kind).toBe("unavailable");
  });

  it("does not come while a daemon answers, however long the wait is, and however quiet", async () => {
    for (const ttlMs of [TTL_MS, 60_000, 86_400_000]) {
      const { clock, hold } = startKeeper({ behave: acknowledge });
      const holder = hold({ ttlMs });
      await clock.advance(600_000);
      expect(holder.kind).toBe("open");
    }
  });

  it("comes when the wait has been over for five seconds and the daemon has not said so", async () => {
    const { clock, hold, at } = startKeeper({ behave: acknowledge });
    const holder = hold({ waitMs: 2000 });
    await clock.advance(6999);
    expect(holder.kind).toBe("open");
    await clock.advance(1);
    expect(holder.isSettled).toBe(true);
    expect(at(0).link.last("release").leaseId).toBe(at(0).link.last("acquire").leaseId);
  });

  it("comes, too, for a lock that was granted and that nobody has confirmed in time", async () => {
    const { clock, hold, at } = startKeeper({ behave: acknowledge, patienceMs: 3000 });
    const holder = hold();
    await clock.settle();
    for (const index of [0, 1]) {
      at(index).behave = () => undefined;
      at(index).refusal = error("unreachable");
    }
    at(0).link.grant({}, 999);
    await clock.settle();
    expect(holder.kind).toBe("open");
    at(0).link.break(error("unavailable"));
    await clock.advance(20_000);
    expect(holder.kind).toBe("unreachable");
    expect(clock.pending).toBe(0);
  });

  it("on the caller's signal ends the wait at once, and releases what was asked for", async () => {
    const { clock, hold, at } = startKeeper({ behave: acknowledge });
    const leave = new AbortController();
    const holder = hold({ signal: leave.signal });
    await clock.settle();
    leave.abort();
    await clock.settle();
    expect(holder.kind).toBe("cancelled");
    const { leaseId } = at(0).link.last("acquire");
    expect(at(0).link.last("release").leaseId).toBe(leaseId);
    // It was being granted in this moment: nobody believes in it, and the release ends it.
    at(0).link.grant({ leaseId });
    at(0).link.say({ kind: "released", resource: RESOURCE, leaseId, outcome: "released" });
    await clock.settle();
    expect(clock.pending).toBe(0);
  });

  it("before anything was asked asks nothing at all", async () => {
    const { clock, hold, at } = startKeeper();
    const holder = hold({ signal: AbortSignal.abort() });
    await clock.settle();
    expect(holder.kind).toBe("cancelled");
    expect(at(0).links).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it("may be that of many waits, which Node does not take for a leak", async () => {
    const { clock, hold } = startKeeper();
    const leave = new AbortController();
    const { signal } = leave;
    const holders = Array.from({ length: 12 }, (_, at) =>
      hold({ resource: `r${String(at)}`, signal }),
    );
    await clock.settle();
    expect(getEventListeners(signal, "abort")).toHaveLength(1);
    leave.abort();
    await clock.settle();
    expect(holders.map(({ kind }) => kind)).toEqual(Array<string>(12).fill("cancelled"));
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  it("means nothing once the lock is held", async () => {
    const { clock, hold } = startKeeper({ behave: obey });
    const leave = new AbortController();
    const holder = hold({ signal: leave.signal });
    await clock.settle();
    expect(getEventListeners(leave.signal, "abort")).toEqual([]);
    leave.abort();
    await clock.settle();
    expect(holder.hold.state).toBe("HELD");
  });
});

describe("releasing", () => {
  it("ends belief before it is sent, and tells what the daemon found", async () => {
    const { clock, at, held, lost } = await startHeld(acknowledge);
    const releasing = new Watched(held.release());
    expect([held.state, held.isHeld]).toEqual(["RELEASED", false]);
    expect(at(0).link.all("release")).toEqual([]);
    await clock.settle();
    const { resource, leaseId } = held;
    expect(at(0).link.last("release")).toMatchObject({ resource, leaseId });
    at(0).link.say({ kind: "released", resource, leaseId, outcome: "not-held" });
    await clock.settle();
    expect(releasing.value).toBe("not-held");
    expect(lost.why).toBeUndefined();
    expect(clock.pending).toBe(0);
  });

  it("of a short lease hurries no daemon that keeps longer ones", async () => {
    const { clock, hold, at } = startKeeper({
      behave: (link, message) => {
        if (message.kind === "heartbeat") {
          // As a daemon may whose stores are slow, with leases of a minute.
          clock.after(2500, () => {
            if (!link.isClosed) link.ack(message.seq);
          });
        }
        if (message.kind === "acquire") {
          const { leaseId, resource, ttlMs = TTL_MS } = message;
          link.grant({ leaseId, resource, ttlMs });
        }
      },
    });
    const long = hold({ resource: "long", ttlMs: 60_000 });
    await clock.advance(3000);
    const short = hold({ resource: "short", ttlMs: 3000 });
    await clock.settle();
    expect([long.kind, short.kind]).toEqual(["held", "held"]);
    const releasing = new Watched(short.hold.release());
    await clock.advance(5000);
    expect(releasing.value).toBe("unknown");
    expect([at(0).links.length, at(1).links.length]).toEqual([1, 0]);
    expect(long.hold.isHeld).toBe(true);
  });

  it("is said again on the next stream, and given up after five seconds", async () => {
    const { clock, at, held } = await startHeld(acknowledge);
    const releasing = new Watched(held.release());
    await clock.settle();
    at(0).link.break(error("unavailable"));
    await clock.settle();
    expect(at(1).link.all("release")).toHaveLength(1);
    await clock.advance(4999);
    expect(releasing.kind).toBe("open");
    await clock.advance(1);
    expect(releasing.value).toBe("unknown");
    expect(clock.pending).toBe(0);
  });

  it("that was said before tells nothing of a loss: what is not held then may be its own doing", async () => {
    const { clock, at, held } = await startHeld(acknowledge);
    const releasing = new Watched(held.release());
    await clock.settle();
    at(0).link.break(error("unavailable"));
    await clock.settle();
    const { resource, leaseId } = held;
    at(1).link.say({ kind: "released", resource, leaseId, outcome: "not-held" });
    await clock.settle();
    expect(releasing.value).toBe("unknown");
    expect(clock.pending).toBe(0);
  });

  it("that nobody can have heard before does", async () => {
    const { clock, at, held } = await startHeld(acknowledge, { addresses: 1 });
    at(0).refusal = error("unreachable");
    at(0).link.break(error("unavailable"));
    const releasing = new Watched(held.release());
    await clock.advance(1000);
    at(0).refusal = undefined;
    await clock.advance(1000);
    const { resource, leaseId } = held;
    expect(at(0).links.flatMap((link) => link.all("release")).length).toBeGreaterThan(1);
    at(0).link.say({ kind: "released", resource, leaseId, outcome: "not-held" });
    await clock.settle();
    expect(releasing.value).toBe("not-held");
  });

  it("is given up sooner for whoever is in a hurry, though it was said before he was", async () => {
    const { clock, held } = await startHeld(acknowledge);
    const releasing = new Watched(held.release());
    await clock.advance(2000);
    void held.release({ patienceMs: 1000 });
    await clock.advance(999);
    expect(releasing.kind).toBe("open");
    await clock.advance(1);
    expect(releasing.value).toBe("unknown");
    expect(clock.pending).toBe(0);
  });

  it.each([
    ["after one that was not answered tells nothing", "unavailable", "unknown"],
    ["after one that nobody has heard was lost", "unreachable", "not-held"],
  ] as const)("what is gone %s", async (_, kind, outcome) => {
    const { clock, at, held } = await startHeld(acknowledge);
    const releasing = new Watched(held.release());
    await clock.settle();
    at(0).link.break(error(kind));
    await clock.settle();
    const { resource, leaseId } = held;
    at(1).link.say({ kind: "released", resource, leaseId, outcome: "not-held" });
    await clock.settle();
    expect(releasing.value).toBe(outcome);
  });

  it("needs no daemon that has it: one that calls it lost has ended it as well", async () => {
    const { clock, at, held, lost } = await startHeld(acknowledge);
    const releasing = new Watched(held.release());
    await clock.settle();
    const { resource, leaseId } = held;
    at(0).link.say({ kind: "lost", resource, leaseId, cause: "not-held" });
    await clock.settle();
    expect([releasing.value, held.state, lost.why]).toEqual(["not-held", "RELEASED", undefined]);
  });

  it("what is lost sends it at once, the holder having let go", async () => {
    const { clock, at, held } = await startHeld(() => undefined, { addresses: 1 });
    at(0).refusal = error("unreachable");
    await clock.advance(8000);
    at(0).refusal = undefined;
    at(0).behave = acknowledge;
    await clock.advance(held.deadlineMs - clock.monotonicMs());
    expect([held.state, at(0).link.all("release").length]).toEqual(["LOST", 0]);
    void held.release();
    await clock.settle();
    expect(at(0).link.all("release")).toHaveLength(1);
  });

  it("again and again puts off neither its end nor the next one's turn", async () => {
    const { clock, at, held, hold } = await startHeld(acknowledge);
    const releasing = new Watched(held.release());
    const next = hold({ waitMs: 6000 });
    await clock.advance(4000);
    void held.release();
    await clock.advance(1000);
    expect(releasing.value).toBe("unknown");
    // Five of its six seconds have gone by.
    const { link } = at(0);
    expect(link.last("acquire").waitMs).toBe(1000);
    expect(link.kinds.slice(-2)).toEqual(["heartbeat", "acquire"]);
    expect(link.all("release")).toHaveLength(1);
    link.grant();
    await clock.settle();
    expect(next.hold.isHeld).toBe(true);
  });

  it("twice is releasing once", async () => {
    const { clock, at, held } = await startHeld();
    const both = [held.release(), held.release()];
    await clock.settle();
    expect(await Promise.all(both)).toEqual(["released", "released"]);
    await held[Symbol.asyncDispose]();
    expect(at(0).link.all("release").length).toBe(1);
  });

  it("leaves nothing that a straying message could wake", async () => {
    const { clock, at, hold } = startKeeper({ behave: acknowledge });
    const holder = hold();
    await clock.settle();
    const { leaseId } = at(0).link.last("acquire");
    // In one turn: refused, and then called lost or used up as well.
    at(0).link.deny("lock-held");
    at(0).link.say({ kind: "lost", resource: RESOURCE, leaseId, cause: "not-held" });
    at(0).link.deny("lease-lost");
    await clock.advance(1000);
    expect(holder.kind).toBe("denied");
    expect(at(0).link.all("acquire")).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });
});

describe("abandoning", () => {
  it("ends belief and keeping at once, and releases nothing, then or later", async () => {
    const { clock, at, held, keeper, lost } = await startHeld();
    held.abandon();
    expect([held.state, held.isHeld]).toEqual(["RELEASED", false]);
    await clock.settle();
    expect(at(0).link.isClosed).toBe(true);
    expect(clock.pending).toBe(0);
    expect(await held.release()).toBe("unknown");
    await keeper[Symbol.asyncDispose]();
    expect(at(0).links.flatMap((link) => link.all("release"))).toEqual([]);
    expect(lost.why).toBeUndefined();
  });

  it("leaves the others held, on another stream, so that their heartbeats keep it no longer", async () => {
    const { clock, at, held, hold } = await startHeld();
    const other = hold({ resource: "other" });
    await clock.settle();
    held.abandon();
    await clock.settle();
    const [old, now] = at(0).links;
    expect(old?.isClosed).toBe(true);
    expect(now?.all("resume").map(({ resource }) => resource)).toEqual(["other"]);
    await clock.advance(60_000);
    expect(other.hold.state).toBe("HELD");
    expect(at(0).links).toHaveLength(2);
  });
});

describe("a keeper that is disposed of", () => {
  it("releases everything, ends every wait, closes its stream, and takes no more", async () => {
    const { clock, keeper, at, hold, held } = await startHeld();
    at(0).behave = (link, message) => {
      if (message.kind !== "acquire") obey(link, message);
    };
    const waiting = hold({ resource: "second" });
    await clock.settle();
    const disposing = new Watched(keeper[Symbol.asyncDispose]());
    await clock.settle();
    expect(disposing.isSettled).toBe(true);
    expect([held.state, waiting.kind]).toEqual(["RELEASED", "cancelled"]);
    expect(
      at(0)
        .link.all("release")
        .map(({ resource }) => resource),
    ).toEqual([RESOURCE, "second"]);
    expect(at(0).link.isClosed).toBe(true);
    const late = hold({ resource: "third" });
    await clock.advance(1000);
    expect(late.kind).toBe("cancelled");
    expect(clock.pending).toBe(0);
  });

  it("ends within five seconds when nobody answers", async () => {
    for (const isReachable of [true, false]) {
      const { clock, keeper, at, hold } = await startHeld(() => undefined);
      if (!isReachable) {
        for (const index of [0, 1]) at(index).refusal = error("unreachable");
        at(0).link.break(error("unavailable"));
      }
      hold({ resource: "second" });
      await clock.settle();
      const disposing = new Watched(keeper[Symbol.asyncDispose]());
      await clock.advance(5000);
      expect(disposing.isSettled).toBe(true);
      expect(clock.pending).toBe(0);
      const links = at(0).links.length + at(1).links.length;
      await clock.advance(60_000);
      expect(at(0).links.length + at(1).links.length).toBe(links);
    }
  });

  it("ends the wait for a lock that was granted and not yet confirmed", async () => {
    const { clock, keeper, hold, at } = startKeeper({ behave: acknowledge });
    const holder = hold();
    await clock.settle();
    at(0).behave = obey;
    at(0).link.grant({}, 999);
    const disposing = new Watched(keeper[Symbol.asyncDispose]());
    await clock.settle();
    expect([disposing.isSettled, holder.kind]).toEqual([true, "cancelled"]);
    expect(at(0).link.last("release")).toBeDefined();
  });
});

describe("a daemon that misbehaves", () => {
  it("cannot make a holder beat in a hurry with a ttl of nothing", async () => {
    const { clock, hold, at } = startKeeper({ behave: acknowledge });
    hold();
    await clock.settle();
    at(0).link.say({
      kind: "queued",
      resource: RESOURCE,
      position: 1,
      holder: undefined,
      ttlMs: 0,
    });
    await clock.advance(1000);
    expect(at(0).link.all("heartbeat").length).toBeLessThan(15);
  });

  it("cannot make it believe by acks of heartbeats that it never sent, or that go back", async () => {
    const { clock, at, held } = await startHeld(() => undefined);
    const { deadlineMs } = held;
    await clock.advance(4000);
    const { link } = at(0);
    for (const seq of [0, -1, 1000, 1]) link.ack(seq);
    await clock.settle();
    expect(held.deadlineMs).toBe(deadlineMs);
  });
});

describe("ten thousand locks", () => {
  it(
    "are taken and kept without the work growing as their square",
    { timeout: 60_000 },
    async () => {
      const { clock, hold } = startKeeper({ behave: obey });
      const startedMs = performance.now();
      const holders = Array.from({ length: 10_000 }, (_, index) =>
        hold({ resource: `r${String(index)}` }),
      );
      await clock.settle();
      expect(holders.every(({ kind }) => kind === "held")).toBe(true);
      await clock.advance(60_000);
      expect(performance.now() - startedMs).toBeLessThan(30_000);
      expect(clock.pending).toBe(1);
      // And no more: a daemon would put them off for ever.
      const more = hold({ resource: "one-too-many" });
      await clock.settle();
      expect(more.kind).toBe("overloaded");
      await holders[0]?.hold.release();
      const instead = hold({ resource: "one-too-many" });
      await clock.settle();
      expect(instead.kind).toBe("held");
    },
  );
});
