// A holder's addresses that are slow rather than dead, and daemons that answer without being of use.

import { describe, expect, it } from "vitest";
import { acknowledge, obey, startKeeper, TTL_MS, type Behaviour } from "../support/link-kit.js";
import { RESOURCE, startDaemon } from "../support/lock-kit.js";
import { Stream } from "../support/session-kit.js";

type Started = ReturnType<typeof startKeeper>;

const streams = ({ at }: Started, count: number) =>
  Array.from({ length: count }, (_, index) => at(index).links.length);

/** A daemon whose store does not answer any more: it acknowledges, and says that leases are behind. */
const storeIsOut: Behaviour = (link, message) => {
  if (message.kind === "heartbeat") link.ack(message.seq, 1, behindOf(link.heard));
};

function behindOf(heard: readonly { kind: string }[]): { leaseId: string; validForMs: number }[] {
  return heard
    .filter(({ kind }) => kind === "acquire" || kind === "resume")
    .map((message) => ({
      leaseId: (message as { leaseId?: string }).leaseId ?? "",
      validForMs: 0,
    }));
}

/** An address that does what it does, but late. */
function late(byMs: number, started: Started, behave: Behaviour = obey): Behaviour {
  return (link, message) => {
    started.clock.after(byMs, () => {
      if (!link.isClosed) behave(link, message);
    });
  };
}

async function startHeld(options: Parameters<typeof startKeeper>[0] = {}, ttlMs = TTL_MS) {
  const grant: Behaviour = (link, message) => {
    acknowledge(link, message);
    if (message.kind === "acquire" || message.kind === "resume") {
      link.grant({ leaseId: message.leaseId, resource: message.resource, ttlMs });
    }
  };
  const started = startKeeper({ behave: grant, ...options });
  const holder = started.hold({ ttlMs });
  await started.clock.settle();
  return { ...started, started, grant, held: holder.hold };
}

describe("a daemon whose store is out, while another one's is not", () => {
  it("is left with a quarter of the ttl to go, and the lease is carried on by the other", async () => {
    const { clock, at, held, started } = await startHeld();
    at(0).behave = storeIsOut;
    const { deadlineMs } = held;
    await clock.advance(deadlineMs - TTL_MS / 4 - 1 - clock.monotonicMs());
    expect(streams(started, 2)).toEqual([1, 0]);
    await clock.advance(1);
    expect(streams(started, 2)).toEqual([1, 1]);
    expect(held.deadlineMs).toBeGreaterThan(deadlineMs);
    await clock.advance(600_000);
    // It stays where it is well.
    expect([held.state, streams(started, 2)]).toEqual(["HELD", [1, 1]]);
  });

  it("is left in time for a third one, when the second's store is out as well", async () => {
    for (const ttlMs of [2000, TTL_MS, 60_000]) {
      const { clock, at, held, started } = await startHeld({ addresses: 3 }, ttlMs);
      at(0).behave = storeIsOut;
      at(1).behave = storeIsOut;
      await clock.advance(3 * ttlMs);
      expect([held.state, streams(started, 3)]).toEqual(["HELD", [1, 1, 1]]);
    }
  });

  it("is stayed with where there is no other address: a new stream would not help", async () => {
    const { clock, at, held, started } = await startHeld({ addresses: 1 });
    at(0).behave = storeIsOut;
    await clock.advance(TTL_MS);
    expect([held.state, streams(started, 1)]).toEqual(["LOST", [1]]);
  });

  it("is not fled from without end when all stores are out", async () => {
    const started = startKeeper({ behave: storeIsOut });
    for (let count = 0; count < 40; count++) {
      for (const index of [0, 1]) started.at(index).behave = obey;
      const holder = started.hold();
      await started.clock.settle();
      for (const index of [0, 1]) started.at(index).behave = storeIsOut;
      await started.clock.advance(2 * TTL_MS);
      expect(holder.hold.state).toBe("LOST");
    }
    // Sixteen minutes: at most one move a minute once both have been tried and tried again.
    const [one = 0, two = 0] = streams(started, 2);
    expect(one + two).toBeLessThan(16 + 10);
  });

  it("is left by one who asks, as soon as it has said so", async () => {
    const started = startKeeper({ behave: acknowledge });
    const { clock, at, hold } = started;
    at(1).behave = obey;
    const holder = hold();
    await clock.advance(10_000);
    const { leaseId } = at(0).link.last("acquire");
    at(0).link.deny("unavailable");
    await clock.settle();
    expect(holder.hold.leaseId).toBe(leaseId);
    expect(streams(started, 2)).toEqual([1, 1]);
  });

  it("is not left while somebody stands in a queue there, whose place would be lost", async () => {
    const started = startKeeper({ behave: acknowledge });
    const { clock, at, hold } = started;
    hold({ resource: "first" });
    await clock.settle();
    const holder = { ...startDaemonLease(), principal: "bob" };
    const { link } = at(0);
    link.say({ kind: "queued", resource: "first", position: 3, holder, ttlMs: TTL_MS });
    hold({ resource: "second" });
    await clock.settle();
    link.deny("unavailable");
    await clock.advance(60_000);
    expect(streams(started, 2)).toEqual([1, 0]);
    // Its own daemon does not know any more who holds it: there is no place to lose.
    link.say({ kind: "queued", resource: "first", position: 3, holder: undefined, ttlMs: TTL_MS });
    link.deny("unavailable");
    await clock.settle();
    expect(streams(started, 2)).toEqual([1, 1]);
  });

  it("is asked again and again when there is no other, and in the end its own words are told", async () => {
    const { clock, hold } = startKeeper({
      addresses: 2,
      behave: (link, message) => {
        acknowledge(link, message);
        if (message.kind === "acquire") link.deny("unavailable");
      },
    });
    const holder = hold({ waitMs: 30_000 });
    await clock.advance(34_999);
    expect(holder.kind).toBe("open");
    await clock.advance(1);
    expect(holder.error).toMatchObject({ kind: "unavailable", message: "because unavailable" });
  });
});

describe("an address that is slow", () => {
  it("is left before the deadline, and the other one is stayed with", async () => {
    for (const [byMs, ttlMs] of [
      [1500, 2000],
      [3000, TTL_MS],
      [5000, TTL_MS],
      [6000, 15_000],
      [Infinity, 1000],
      [Infinity, 60_000],
    ] as const) {
      const { clock, at, held, started, grant } = await startHeld({}, ttlMs);
      at(0).behave = late(byMs, started, grant);
      await clock.advance(20 * ttlMs);
      expect(held.isHeld, `${String(byMs)} ms late, ttl ${String(ttlMs)}`).toBe(true);
      const [one = 0, two = 0] = streams(started, 2);
      expect(one + two).toBeLessThanOrEqual(2);
    }
  });

  it("is left before the deadline although it chatters", async () => {
    const { clock, at, held, started } = await startHeld();
    at(0).behave = () => undefined;
    const { link } = at(0);
    for (let second = 0; second < 30 && !link.isClosed; second++) {
      const ttlMs = TTL_MS;
      link.say({ kind: "queued", resource: "other", position: 1, holder: undefined, ttlMs });
      await clock.advance(1000);
    }
    expect([held.state, streams(started, 2)]).toEqual(["HELD", [1, 1]]);
  });

  it("is found in spite of that when there is no faster one: each round gives it twice the time", async () => {
    const started = startKeeper({ addresses: 2 });
    for (const index of [0, 1])
      started.at(index).behave = late(1200, started, (link, message) => {
        acknowledge(link, message);
        if (message.kind === "acquire") link.grant({ leaseId: message.leaseId, ttlMs: 3000 });
      });
    const holder = started.hold({ ttlMs: 3000 });
    await started.clock.advance(10_000);
    expect(holder.kind).toBe("held");
    const [one = 0, two = 0] = streams(started, 2);
    expect(one + two).toBe(3);
    // Where an answer takes 0.4 of a ttl the lock is still kept, by staying.
    await started.clock.advance(60_000);
    expect([holder.hold.isHeld, streams(started, 2)]).toEqual([true, [one, two]]);
  });
});

describe("functions of a caller that throw", () => {
  it("stop nothing: the error comes out by itself, and the lock is kept", async () => {
    const thrown: unknown[] = [];
    const onUncaught = (error: unknown): void => void thrown.push(error);
    const before = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.on("uncaughtException", onUncaught);
    try {
      const { clock, at, hold } = startKeeper({ behave: acknowledge });
      const fail = (what: string) => () => {
        throw new Error(what);
      };
      const holder = hold({ onQueued: fail("queued") });
      await clock.settle();
      const { link } = at(0);
      link.say({
        ...{ kind: "queued", resource: RESOURCE, position: 1, holder: undefined, ttlMs: TTL_MS },
      });
      at(0).behave = obey;
      link.grant();
      await clock.settle();
      let heard = 0;
      holder.hold.watch(fail("watch"));
      holder.hold.watch(() => (heard += 1));
      await clock.advance(4000);
      expect(heard).toBe(1);
      await clock.advance(60_000);
      expect([holder.hold.state, heard]).toEqual(["HELD", 16]);
      expect(thrown.map((error) => (error as Error).message)).toEqual([
        "queued",
        ...Array.from({ length: 16 }, () => "watch"),
      ]);
    } finally {
      process.removeAllListeners("uncaughtException");
      for (const listener of before) process.on("uncaughtException", listener);
    }
  });
});

describe("a store that fails from the very start", () => {
  it("leaves no waiter without a word: his place, and that the holder is not known", async () => {
    const daemon = startDaemon({ faults: () => ({ fail: "before" }) });
    const stream = new Stream(daemon);
    stream.beat();
    stream.acquire("ann");
    await daemon.clock.advance(1000);
    expect(stream.last("queued")).toMatchObject({ position: 1, holder: undefined, ttlMs: 12_000 });
    await daemon.clock.advance(11_000);
    expect(stream.last("denied")).toMatchObject({ reason: "unavailable" });
  });
});

describe("a session with a long lease held and a short one awaited", () => {
  it("acknowledges as the short one wants it, however slow the store is", async () => {
    const daemon = startDaemon({
      faults: ({ method }) => (method === "renew" ? { beforeMs: 20_000 } : undefined),
    });
    const holder = new Stream(daemon);
    holder.beat();
    holder.acquire("other", { resource: "short", ttlMs: 1000_000 });
    await daemon.clock.settle();
    const stream = new Stream(daemon);
    stream.beat();
    stream.acquire("long", { resource: "long", ttlMs: 60_000 });
    await daemon.clock.advance(16_000);
    stream.beat();
    stream.acquire("brief", { resource: "short", ttlMs: 1000 });
    await daemon.clock.advance(84);
    expect(stream.last("heartbeat-ack")).toMatchObject({ seq: 2 });
  });
});

function startDaemonLease() {
  return {
    ...{ resource: RESOURCE, leaseId: "", token: 3n, ttlMs: TTL_MS, remainingMs: TTL_MS },
    ...{ createdAtUs: 0n, expiresAtUs: 0n, revision: 1n, reason: "", labels: {} },
  };
}
