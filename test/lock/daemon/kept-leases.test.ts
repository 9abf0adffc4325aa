import { describe, expect, it } from "vitest";
import { LockManager } from "../../../src/lock/daemon/manager.js";
import { Policy } from "../../../src/lock/policy.js";
import { FakeClock } from "../../support/fake-clock.js";
import { renewalsOf, RESOURCE, startDaemon, type Daemon } from "../../support/lock-kit.js";
import { MemoryStore, type CallSeen, type Fault } from "../../support/memory-backend.js";
import { Stream } from "../../support/session-kit.js";

// 12 s: fresh for 3 s, tried again for 4 s; the period of one stream is 4 s, its quarter 1 s.
const TTL_MS = 12_000;

/** A daemon whose calls go wrong as long as somebody says so. */
function startFaulty(): Daemon & { fault: (call: CallSeen) => Fault | undefined } {
  const state = { fault: (_call: CallSeen): Fault | undefined => undefined };
  const daemon = startDaemon({ faults: (call) => state.fault(call) });
  return Object.assign(state, daemon);
}

async function hold(daemon: Daemon, ...resources: string[]): Promise<Stream> {
  const stream = new Stream(daemon);
  stream.beat();
  for (const resource of resources) stream.acquire(`of-${resource}`, { resource });
  await daemon.clock.settle();
  expect(stream.session.leases).toBe(resources.length);
  stream.said.length = 0;
  return stream;
}

/** Somebody else asks for "a", which takes the store 3 s; what comes after that waits for it. */
async function askSlowly(daemon: ReturnType<typeof startFaulty>): Promise<void> {
  daemon.fault = ({ method }) => (method === "acquire" ? { beforeMs: 3000 } : undefined);
  const other = new Stream(daemon);
  other.beat();
  other.acquire("of-other", { resource: "a" });
  await daemon.clock.settle();
}

const renewals = ({ backend }: Daemon) =>
  backend.calls.filter(({ method }) => method === "renew").map(({ resources }) => resources);

describe("a heartbeat", () => {
  it("is acknowledged at once when nothing is due, the whole share of the ttl being left", async () => {
    const daemon = startDaemon();
    const stream = await hold(daemon, "a");
    await daemon.clock.advance(3000);
    const seq = stream.beat();
    await daemon.clock.settle();
    expect(stream.said).toEqual([{ kind: "heartbeat-ack", seq, validShare: 0.75, behind: [] }]);
    expect(renewals(daemon)).toEqual([]);
  });

  it("renews in one batch those leases whose last renewal is older than a quarter of the ttl", async () => {
    const daemon = startDaemon();
    const { clock } = daemon;
    const stream = await hold(daemon, "a", "b");
    await clock.advance(2000);
    stream.beat();
    stream.acquire("of-c", { resource: "c" });
    await clock.advance(1001);
    stream.beat();
    await clock.settle();
    expect(renewals(daemon)).toEqual([["a", "b"]]);
    // Of c 12 - 1.001 s are left; the others have a whole ttl again.
    expect(stream.last("heartbeat-ack")).toMatchObject({ behind: [] });
    expect(stream.last("heartbeat-ack").validShare).toBeCloseTo((TTL_MS - 1001) / TTL_MS, 10);
  });

  it("tells the store what is left of each lease, by which it knows the more urgent ones", async () => {
    const daemon = startDaemon();
    const { clock, backend } = daemon;
    const stream = await hold(daemon, "a");
    await clock.advance(2000);
    stream.acquire("of-b", { resource: "b" });
    await clock.settle();
    const asks = renewalsOf(backend);
    await clock.advance(3500);
    stream.beat();
    await clock.settle();
    const left = asks.map(({ resource, validForMs }) => [resource, validForMs]);
    expect(Object.fromEntries(left)).toEqual({ a: TTL_MS - 5500, b: TTL_MS - 3500 });
  });

  it("counts what is left from before the store was asked, and never says more than the store gives", async () => {
    const daemon = startFaulty();
    const { clock, store } = daemon;
    const stream = await hold(daemon, "a");
    daemon.fault = () => ({ beforeMs: 300, afterMs: 400 });
    for (let round = 0; round < 5; round++) {
      const sentAtMs = clock.monotonicMs() + 4000;
      await clock.advance(4000);
      stream.beat();
      await clock.advance(800);
      const ack = stream.last("heartbeat-ack");
      const endMs = clock.monotonicMs() + (store.current("a")?.remainingMs ?? 0);
      expect(sentAtMs + ack.validShare * TTL_MS).toBeLessThanOrEqual(endMs);
      expect(ack.validShare).toBe(1);
      // And of a lease that is left alone, no more than is left by then.
      await clock.advance(1000);
      stream.beat();
      const beatAtMs = clock.monotonicMs();
      await clock.settle();
      const left = stream.last("heartbeat-ack");
      expect(left.seq).toBe(ack.seq + 1);
      expect(beatAtMs + left.validShare * TTL_MS).toBeLessThanOrEqual(endMs);
    }
  });

  it("is one with those that come in the same turn: the newest is answered", async () => {
    const daemon = startDaemon();
    const stream = await hold(daemon, "a");
    await daemon.clock.advance(4000);
    for (let count = 0; count < 500; count++) stream.beat();
    await daemon.clock.settle();
    expect(stream.said).toEqual([{ kind: "heartbeat-ack", seq: 501, validShare: 1, behind: [] }]);
    expect(renewals(daemon)).toHaveLength(1);
  });

  it("is the only thing that renews: without one the lease ends within a ttl of the last", async () => {
    const daemon = startDaemon();
    const { clock, store } = daemon;
    const stream = await hold(daemon, "a");
    for (let round = 0; round < 3; round++) {
      await clock.advance(4000);
      stream.beat();
    }
    await clock.advance(TTL_MS - 1);
    expect(store.current("a")).toBeDefined();
    await clock.advance(1);
    expect(store.current("a")).toBeUndefined();
    expect(clock.pending).toBe(0);
  });

  it("finds out what has ended, and says so before it acknowledges", async () => {
    const daemon = startDaemon();
    const { clock, locks } = daemon;
    const stream = await hold(daemon, "a", "b");
    await locks.release({ resource: "a", leaseId: "of-a" });
    await clock.advance(4000);
    stream.beat();
    await clock.settle();
    expect(stream.said).toEqual([
      { kind: "lost", resource: "a", leaseId: "of-a", cause: "not-held" },
      { kind: "heartbeat-ack", seq: 2, validShare: 1, behind: [] },
    ]);
    expect(stream.session.leases).toBe(1);
  });
});

describe("an acknowledgement", () => {
  it("waits for the stores a quarter of the period; what is late comes in a second one", async () => {
    const daemon = startFaulty();
    const { clock } = daemon;
    const stream = await hold(daemon, "a", "b");
    await clock.advance(7000);
    daemon.fault = () => ({ beforeMs: 1500 });
    const seq = stream.beat();
    await clock.advance(999);
    expect(stream.said).toEqual([]);
    await clock.advance(1);
    expect(stream.said).toEqual([
      {
        ...{ kind: "heartbeat-ack", seq, validShare: 1 },
        behind: [
          { leaseId: "of-a", validForMs: 5000 },
          { leaseId: "of-b", validForMs: 5000 },
        ],
      },
    ]);
    await clock.advance(500);
    expect(stream.said[1]).toEqual({ kind: "heartbeat-ack", seq, validShare: 1, behind: [] });
    await clock.advance(4000);
    expect(stream.said).toHaveLength(2);
    expect(clock.pending).toBe(0);
  });

  it("tells of what was renewed late without waiting for the slowest", async () => {
    const clock = new FakeClock();
    const late = { isLate: false };
    const store = (byMs: number) =>
      new MemoryStore(clock).open(() => (late.isLate ? { beforeMs: byMs } : undefined));
    const backends = new Map([
      ["default", store(1500)],
      ["slow", store(3500)],
    ]);
    const policy = new Policy({}, [{ pattern: "slow/*", rule: { backend: "slow" } }]);
    const locks = new LockManager({ clock, policy, backends });
    const stream = await hold({ ...startDaemon(), clock, locks }, "slow/a", "b");
    await clock.advance(7000);
    late.isLate = true;
    const seq = stream.beat();
    await clock.advance(1999);
    expect(stream.last("heartbeat-ack").behind).toHaveLength(2);
    await clock.advance(1);
    const behind = [{ leaseId: "of-slow/a", validForMs: 5000 }];
    expect(stream.said[1]).toEqual({ kind: "heartbeat-ack", seq, validShare: 1, behind });
    await clock.advance(1499);
    expect(stream.said).toHaveLength(2); // Nothing new at 3 s.
    await clock.advance(1);
    expect(stream.said[2]).toEqual({ kind: "heartbeat-ack", seq, validShare: 1, behind: [] });
    await clock.advance(4000);
    expect(stream.said).toHaveLength(3);
    expect(clock.pending).toBe(0);
  });

  it("comes at once when all stores have answered, and once", async () => {
    const daemon = startFaulty();
    const { clock } = daemon;
    const stream = await hold(daemon, "a");
    await clock.advance(4000);
    daemon.fault = () => ({ beforeMs: 200 });
    stream.beat();
    await clock.advance(199);
    expect(stream.said).toEqual([]);
    await clock.advance(1);
    expect(stream.said).toHaveLength(1);
    expect(clock.pending).toBe(0);
    await clock.advance(2800);
    // Renewed a moment ago, it is left alone for a quarter of the ttl again.
    stream.beat();
    await clock.settle();
    expect(stream.said).toHaveLength(2);
    expect(renewals(daemon)).toHaveLength(1);
  });

  it("is left out when it is late and a newer heartbeat has been answered for all", async () => {
    const daemon = startFaulty();
    const { clock } = daemon;
    const stream = await hold(daemon, "a");
    await clock.advance(4000);
    daemon.fault = () => ({ beforeMs: 3000 });
    stream.beat();
    await clock.advance(2000);
    daemon.fault = () => undefined;
    stream.beat();
    await clock.advance(1000);
    expect(stream.all("heartbeat-ack").map(({ seq }) => seq)).toEqual([2, 3]);
    expect(renewals(daemon)).toHaveLength(1);
    await clock.advance(3000);
    expect(stream.all("heartbeat-ack").map(({ seq }) => seq)).toEqual([2, 3]);
  });

  it("puts a lease behind that has less than half its ttl left, so that it costs the others nothing", async () => {
    const daemon = startFaulty();
    const { clock } = daemon;
    const stream = await hold(daemon, "bad");
    await clock.advance(5000);
    stream.acquire("of-good", { resource: "good" });
    await clock.advance(1500);
    stream.said.length = 0;
    daemon.fault = () => ({ fail: "before" });
    stream.beat();
    await clock.advance(1000);
    expect(stream.last("heartbeat-ack")).toMatchObject({
      validShare: (TTL_MS - 1500) / TTL_MS,
      behind: [{ leaseId: "of-bad", validForMs: TTL_MS - 6500 }],
    });
  });

  it("of one store that is slow speaks well of the leases of another", async () => {
    const clock = new FakeClock();
    const slow = { isSlow: false };
    const backends = new Map([
      ["default", new MemoryStore(clock).open()],
      ["slow", new MemoryStore(clock).open(() => (slow.isSlow ? { beforeMs: 3000 } : undefined))],
    ]);
    const policy = new Policy({}, [{ pattern: "slow/*", rule: { backend: "slow" } }]);
    const locks = new LockManager({ clock, policy, backends });
    const stream = await hold({ ...startDaemon(), clock, locks }, "slow/a", "b");
    await clock.advance(7000);
    slow.isSlow = true;
    const seq = stream.beat();
    await clock.advance(1000);
    const behind = [{ leaseId: "of-slow/a", validForMs: 5000 }];
    expect(stream.said).toEqual([{ kind: "heartbeat-ack", seq, validShare: 1, behind }]);
    await clock.advance(2000);
    expect(stream.said[1]).toEqual({ kind: "heartbeat-ack", seq, validShare: 1, behind: [] });
  });

  it("is timed by the shortest ttl of the stream", async () => {
    const daemon = startFaulty();
    const { clock } = daemon;
    const stream = await hold(daemon, "long");
    stream.acquire("of-short", { resource: "short", ttlMs: 3000 });
    await clock.advance(1000);
    stream.said.length = 0;
    daemon.fault = () => ({ beforeMs: 800 });
    stream.beat();
    await clock.advance(249);
    expect(stream.said).toEqual([]);
    await clock.advance(1);
    expect(stream.last("heartbeat-ack")).toMatchObject({ behind: [] });
    expect(stream.session.smallestTtlMs).toBe(3000);
  });
});

describe("renewals that hang", () => {
  it("have one round of acknowledgements, however many heartbeats come meanwhile", async () => {
    const daemon = startFaulty();
    const { clock } = daemon;
    const resources = Array.from({ length: 20 }, (_, at) => String(at));
    const stream = await hold(daemon, ...resources);
    await clock.advance(4000);
    daemon.fault = () => ({ beforeMs: 3500 });
    for (let count = 0; count < 300; count++) {
      stream.beat();
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
    }
    // The store's answer, and the round.
    expect(clock.pending).toBe(2);
    await clock.advance(999);
    expect(stream.said).toEqual([]);
    await clock.advance(1);
    expect(stream.all("heartbeat-ack").map(({ seq }) => seq)).toEqual([301]);
    await clock.advance(500);
    const newest = stream.beat();
    await clock.advance(500);
    expect(stream.all("heartbeat-ack").map(({ seq }) => seq)).toEqual([301, newest]);
    expect(stream.last("heartbeat-ack").validShare).toBeLessThan(1);
    await clock.advance(1500);
    // Renewed for the 301st, it has what that one gave: 12 s less the 1.5 s between the two.
    const last = { seq: newest, validShare: 10_500 / TTL_MS, behind: [] };
    expect(stream.last("heartbeat-ack")).toMatchObject(last);
    expect(stream.all("heartbeat-ack")).toHaveLength(3);
    expect([renewals(daemon).length, clock.pending]).toEqual([1, 0]);
  });
});

describe("a renewal that waits for its turn", () => {
  it("gives no more life than it would have given at once, and says no more than that", async () => {
    const daemon = startFaulty();
    const { clock, store } = daemon;
    const stream = await hold(daemon, "a");
    await clock.advance(4000);
    await askSlowly(daemon);
    const beatAtMs = clock.monotonicMs();
    const seq = stream.beat();
    await clock.advance(2999);
    expect(renewals(daemon)).toEqual([]);
    await clock.advance(1);
    const endMs = clock.monotonicMs() + (store.current("a")?.remainingMs ?? 0);
    expect(endMs).toBe(beatAtMs + TTL_MS);
    expect(stream.last("heartbeat-ack")).toMatchObject({ seq, validShare: 1, behind: [] });
  });

  it("does not make its lease look fresh to the next heartbeat", async () => {
    const daemon = startFaulty();
    const { clock } = daemon;
    const stream = await hold(daemon, "a");
    await clock.advance(4000);
    await askSlowly(daemon);
    stream.beat();
    await clock.advance(4000); // The store was asked a second ago.
    stream.beat();
    await clock.settle();
    expect(renewals(daemon)).toEqual([["a"], ["a"]]);
    expect(stream.last("heartbeat-ack")).toMatchObject({ validShare: 1, behind: [] });
  });
});

describe("a renewal that fails", () => {
  it("is tried again while its heartbeat is younger than a third of the ttl, and no longer", async () => {
    const daemon = startFaulty();
    const { clock } = daemon;
    const stream = await hold(daemon, "a");
    await clock.advance(4000);
    daemon.fault = () => ({ fail: "before" });
    stream.beat();
    await clock.advance(4000);
    const tries = renewals(daemon).length;
    expect(tries).toBeGreaterThan(4);
    expect(tries).toBeLessThan(12);
    expect(clock.pending).toBe(0);
    await clock.advance(2000);
    expect(renewals(daemon)).toHaveLength(tries);
    expect(stream.all("lost")).toEqual([]);
    daemon.fault = () => undefined;
    stream.beat();
    await clock.settle();
    expect(stream.last("heartbeat-ack")).toMatchObject({ seq: 3, validShare: 1, behind: [] });
  });

  it("that succeeds late gives no more life than it would have given at once", async () => {
    const daemon = startFaulty();
    const { clock, store } = daemon;
    const stream = await hold(daemon, "a");
    await clock.advance(4000);
    let fails = true;
    daemon.fault = () => (fails ? { fail: "before" } : undefined);
    const beatAtMs = clock.monotonicMs();
    stream.beat();
    await clock.advance(3000);
    fails = false;
    await clock.advance(1000);
    const endMs = clock.monotonicMs() + (store.current("a")?.remainingMs ?? 0);
    expect(endMs).toBe(beatAtMs + TTL_MS);
    expect(stream.last("heartbeat-ack")).toMatchObject({ seq: 2, validShare: 1, behind: [] });
  });

  it("rests on the newest heartbeat when another comes while it is being tried", async () => {
    const daemon = startFaulty();
    const { clock, store } = daemon;
    const stream = await hold(daemon, "a");
    await clock.advance(4000);
    daemon.fault = () => ({ fail: "before" });
    stream.beat();
    await clock.advance(3000);
    stream.beat();
    const beatAtMs = clock.monotonicMs();
    await clock.advance(2000);
    daemon.fault = () => undefined;
    await clock.advance(1000);
    const endMs = clock.monotonicMs() + (store.current("a")?.remainingMs ?? 0);
    expect(endMs).toBe(beatAtMs + TTL_MS);
  });

  it("until the lease has run out makes it lost, by the daemon's own clock", async () => {
    const daemon = startFaulty();
    const { clock } = daemon;
    const stream = await hold(daemon, "a");
    await clock.advance(9000);
    daemon.fault = () => ({ fail: "before" });
    stream.beat();
    await clock.advance(4000);
    expect(stream.last("lost")).toEqual({
      ...{ kind: "lost", resource: "a", leaseId: "of-a", cause: "expired" },
    });
    expect([stream.session.leases, clock.pending]).toEqual([0, 0]);
  });

  it("whose answer was lost on its way is no loss", async () => {
    const daemon = startFaulty();
    const { clock } = daemon;
    const stream = await hold(daemon, "a");
    await clock.advance(4000);
    let count = 0;
    daemon.fault = () => (count++ === 0 ? { fail: "after" } : undefined);
    stream.beat();
    await clock.advance(100);
    expect(stream.said).toEqual([{ kind: "heartbeat-ack", seq: 2, validShare: 1, behind: [] }]);
  });

  it("is tried no more once the lease was released, handed over, or the stream has ended", async () => {
    const ends: ((stream: Stream) => void)[] = [
      (stream) => {
        stream.session.end();
      },
      (stream) => {
        stream.release("of-a", "a");
      },
    ];
    for (const end of ends) {
      const daemon = startFaulty();
      const { clock } = daemon;
      const stream = await hold(daemon, "a");
      await clock.advance(4000);
      daemon.fault = ({ method }) => (method === "renew" ? { fail: "before" } : undefined);
      stream.beat();
      await clock.advance(500);
      end(stream);
      await clock.settle();
      const tries = renewals(daemon).length;
      const said = stream.said.length;
      await clock.advance(3000);
      expect(renewals(daemon)).toHaveLength(tries);
      expect(stream.all("lost")).toEqual([]);
      expect(stream.said.slice(said).map(({ kind }) => kind)).not.toContain("granted");
      expect(clock.pending).toBe(0);
    }
  });

  it("and finds the lease lost after the stream's end says nothing", async () => {
    const daemon = startFaulty();
    const { clock } = daemon;
    const stream = await hold(daemon, "a");
    await daemon.locks.release({ resource: "a", leaseId: "of-a" });
    await clock.advance(4000);
    daemon.fault = () => ({ beforeMs: 50 });
    stream.beat();
    await clock.advance(10);
    stream.session.end();
    await clock.advance(100);
    expect(stream.said).toEqual([]);
  });
});

describe("ten thousand leases on ten streams", () => {
  it(
    "are kept for a minute without an alarm for each, by ten batches a beat",
    { timeout: 60_000 },
    async () => {
      const daemon = startDaemon();
      const { clock, backend } = daemon;
      const streams = Array.from({ length: 10 }, () => new Stream(daemon));
      streams.forEach((stream, at) => {
        stream.beat();
        for (let index = 0; index < 1000; index++) {
          const name = `${String(at)}-${String(index)}`;
          stream.acquire(`of-${name}`, { resource: name });
        }
      });
      await clock.settle();
      expect(streams.map(({ session }) => session.leases)).toEqual(Array<number>(10).fill(1000));
      expect(clock.pending).toBe(0);
      const startedMs = performance.now();
      const before = backend.calls.length;
      let mostAlarms = 0;
      for (let round = 0; round < 15; round++) {
        await clock.advance(4000);
        for (const stream of streams) stream.beat();
        await new Promise((resolve) => setImmediate(resolve));
        mostAlarms = Math.max(mostAlarms, clock.pending);
        await clock.settle();
      }
      expect(mostAlarms).toBeLessThanOrEqual(10);
      expect(backend.calls.length - before).toBe(150);
      for (const stream of streams) {
        expect(stream.all("lost")).toEqual([]);
        expect(stream.last("heartbeat-ack")).toMatchObject({ seq: 16, validShare: 1, behind: [] });
      }
      expect(performance.now() - startedMs).toBeLessThan(30_000);
    },
  );
});

describe("the leases of a stream", () => {
  it("live on when the daemon's clock stands still for most of a ttl", async () => {
    const daemon = startDaemon();
    const { clock } = daemon;
    const stream = await hold(daemon, RESOURCE);
    await clock.advance(11_900);
    stream.beat();
    await clock.settle();
    expect(stream.last("heartbeat-ack")).toMatchObject({ validShare: 1 });
  });
});

describe("two thousand leases while the store is out", () => {
  it("are tried again together, by a few batches, with one alarm for all", async () => {
    const daemon = startFaulty();
    const { clock, backend } = daemon;
    const stream = new Stream(daemon);
    stream.beat();
    for (let index = 0; index < 2000; index++) {
      stream.acquire(`of-${String(index)}`, { resource: String(index) });
    }
    await clock.settle();
    await clock.advance(4000);
    daemon.fault = () => ({ fail: "before" });
    const before = backend.calls.length;
    stream.beat();
    await clock.settle();
    // The pause, and the ack.
    expect(clock.pending).toBe(2);
    await clock.advance(3900);
    const tries = backend.calls.slice(before).filter(({ method }) => method === "renew");
    // At once, and after 50, 100, 200, 400, 800, 1000 and 1000 ms, a thousand in a batch.
    expect(tries).toHaveLength(2 * 8);
    expect(tries.every(({ resources }) => resources.length === 1000)).toBe(true);
  });
});
