// The client's rules, against daemons that say what a test tells them to. (Over real sockets:
// test/rpc.) It stands here with the other rules that run on a clock of their own.

import { create, type DescMethodUnary, type Message } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { getEventListeners } from "node:events";
import { describe, expect, it, vi } from "vitest";
import {
  LockService as Definition,
  type AcquireRequest,
} from "../../src/gen/stormlock/v1/lock_pb.js";
import { sleep } from "../../src/lock/clock.js";
import { holderDeadlineMs } from "../../src/lock/holder/deadline.js";
import { LockError, type ErrorKind } from "../../src/lock/errors.js";
import { LockClient } from "../../src/rpc/client.js";
import { HoldHub } from "../../src/lock/daemon/hold-hub.js";
import { InProcessTransport } from "../../src/rpc/in-process.js";
import { LockService } from "../../src/rpc/service.js";
import type { CallOptions, Transport, UnaryMethod } from "../../src/rpc/transport.js";
import { FakeClock } from "../support/fake-clock.js";
import { ask, asked, RESOURCE, startDaemon, Watched } from "../support/lock-kit.js";

interface Call {
  readonly at: string;
  readonly method: string;
  readonly request: { readonly resource: string; readonly leaseId: string };
  readonly options: CallOptions;
  readonly atMs: number;
}

type Script = (call: Call, nth: number) => unknown;

/** Daemons a, b, …, that answer what the script returns, and fail with what it throws. */
function start(
  addresses: number,
  script: Script,
  options: { patienceMs?: number; random?: () => number } = {},
) {
  const clock = new FakeClock();
  const calls: Call[] = [];
  const transports = Array.from({ length: addresses }, (_, index): Transport => {
    const at = String.fromCharCode(97 + index);
    const unary = async (
      name: UnaryMethod,
      request: object,
      callOptions: CallOptions,
    ): Promise<Message> => {
      const method: DescMethodUnary = Definition.method[name];
      const whole = create(method.input, request as never) as unknown as Call["request"];
      const atMs = clock.monotonicMs();
      const call = { at, method: method.name, request: whole, options: callOptions, atMs };
      calls.push(call);
      const answer = await script(call, calls.length - 1);
      return create(method.output, answer as never);
    };
    return {
      unary: unary as Transport["unary"],
      hold: () => {
        throw new Error("no stream is expected here");
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  });
  const client = new LockClient({ transports, clock, principal: "ann", ...options });
  return { clock, calls, client };
}

function fail(kind: ErrorKind, message: string = kind): never {
  throw new LockError(kind, message);
}

const lease = (leaseId: string, ttlMs = 10_000, validForMs = ttlMs) => ({
  lease: {
    resource: RESOURCE,
    leaseId,
    ttl: durationFromMs(ttlMs),
    validFor: durationFromMs(validForMs),
  },
});

/** Grants whatever is asked for, and releases whatever is released. */
const grantAll: Script = ({ method, request }) =>
  method === "Release" ? { outcome: 1 } : lease(request.leaseId);

const told = (calls: readonly Call[]) => calls.map(({ at, method }) => `${method} at ${at}`);

describe("a client that gets no definite answer", () => {
  it("asks the next address at once, with the same lease id, and stays there", async () => {
    const { client, calls, clock } = start(3, (call, nth) =>
      nth < 2 ? fail("unavailable") : grantAll(call, nth),
    );
    const acquiring = new Watched(client.acquire(RESOURCE));
    await clock.settle();
    expect(acquiring.kind).toBe("granted");
    expect(told(calls)).toEqual(["Acquire at a", "Acquire at b", "Acquire at c"]);
    expect(new Set(calls.map(({ request }) => request.leaseId)).size).toBe(1);
    await client.release(RESOURCE, "x");
    expect(calls.at(-1)?.at).toBe("c");
  });

  it("pauses after each round over all addresses, longer and longer, up to a second", async () => {
    const { client, calls, clock } = start(2, () => fail("unreachable"));
    const acquiring = new Watched(client.acquire(RESOURCE));
    await clock.advance(12_000);
    expect(acquiring.kind).toBe("unreachable");
    const rounds = calls.filter(({ at }) => at === "a").map(({ atMs }) => atMs);
    const pauses = rounds.slice(1).map((atMs, index) => atMs - (rounds[index] ?? 0));
    expect(pauses.slice(0, 7)).toEqual([50, 100, 200, 400, 800, 1000, 1000]);
    expect(clock.pending).toBe(0);
  });

  it("comes back later, and not with all others, to a daemon that refused it as overloaded", async () => {
    const pauses = [0, 0.999].map(async (chance) => {
      const random = (): number => chance;
      const { client, calls, clock } = start(1, () => fail("overloaded"), { random });
      const acquiring = new Watched(client.acquire(RESOURCE));
      await clock.advance(12_000);
      expect(acquiring.kind).toBe("overloaded");
      expect(clock.pending).toBe(0);
      return calls.slice(1).map(({ atMs }, index) => Math.round(atMs - (calls[index]?.atMs ?? 0)));
    });
    const [soonest = [], latest = []] = await Promise.all(pauses);
    expect(soonest.slice(0, 4)).toEqual([125, 250, 500, 500]);
    expect(latest.slice(0, 4)).toEqual([250, 500, 1000, 1000]);
  });

  it("releases nothing when it was only ever refused as overloaded: nothing was done", async () => {
    const { client, calls, clock } = start(1, () => fail("overloaded"), { patienceMs: 3000 });
    const acquiring = new Watched(client.acquire(RESOURCE));
    await clock.advance(3000);
    expect(acquiring.kind).toBe("overloaded");
    expect(new Set(calls.map(({ method }) => method))).toEqual(new Set(["Acquire"]));
  });

  it.each(["unavailable", "overloaded", "cancelled", "timed-out", "unreachable"] as const)(
    "takes %s for no answer",
    async (kind) => {
      const { client, calls } = start(2, (call, nth) =>
        nth === 0 ? fail(kind) : grantAll(call, nth),
      );
      expect(await client.acquire(RESOURCE)).toMatchObject({ kind: "granted" });
      expect(calls).toHaveLength(2);
    },
  );

  it.each(["invalid-field", "not-allowed", "internal"] as const)(
    "does not ask again after %s",
    async (kind) => {
      const { client, calls } = start(2, ({ method }) =>
        method === "Acquire" ? fail(kind, "why") : { outcome: 1 },
      );
      await expect(client.acquire(RESOURCE)).rejects.toMatchObject({ kind, message: "why" });
      expect(calls.filter(({ method }) => method === "Acquire")).toHaveLength(1);
    },
  );

  it("gives up when its patience has run out, and releases the id that may have been granted", async () => {
    const { client, calls, clock } = start(
      2,
      ({ method }) => (method === "Acquire" ? fail("unavailable", "why") : { outcome: 1 }),
      { patienceMs: 3000 },
    );
    const acquiring = new Watched(client.acquire(RESOURCE));
    await clock.advance(2000);
    expect(acquiring.kind).toBe("open");
    await clock.advance(1000);
    expect(acquiring.error).toMatchObject({ kind: "unavailable", message: "why" });
    expect(calls.at(-1)).toMatchObject({
      method: "Release",
      request: { leaseId: calls[0]?.request.leaseId },
    });
    expect(clock.pending).toBe(0);
  });

  it("does not count the time in the queue as patience", async () => {
    const { client, clock } = start(1, async (call, nth) => {
      if (nth > 0) return grantAll(call, nth);
      await sleep(clock, 19_000);
      return fail("unavailable");
    });
    const acquiring = new Watched(client.acquire(RESOURCE, { waitMs: 20_000 }));
    await clock.advance(20_000);
    expect(acquiring.kind).toBe("granted");
  });

  it("releases the id, too, when another daemon then gives a reason that is definite", async () => {
    const { client, calls } = start(2, ({ method }, nth) =>
      method === "Release" ? { outcome: 2 } : fail(nth === 0 ? "unavailable" : "not-allowed"),
    );
    await expect(client.acquire(RESOURCE)).rejects.toMatchObject({ kind: "not-allowed" });
    expect(told(calls)).toEqual(["Acquire at a", "Acquire at b", "Release at b"]);
  });

  it("releases nothing when nothing was ever sent", async () => {
    const { client, calls, clock } = start(1, () => fail("unreachable"));
    void client.acquire(RESOURCE).catch(() => undefined);
    await clock.advance(20_000);
    expect(calls.every(({ method }) => method === "Acquire")).toBe(true);
  });

  it("says goodbye for two seconds at the most, when nobody hears that either", async () => {
    const { client, clock, calls } = start(1, () => fail("unavailable"));
    const acquiring = new Watched(client.acquire(RESOURCE));
    await clock.advance(10_000);
    expect([acquiring.kind, calls.at(-1)?.method]).toEqual(["open", "Release"]);
    await clock.advance(2000);
    expect(acquiring.kind).toBe("unavailable");
    expect(clock.pending).toBe(0);
  });

  it("gives an attempt five seconds beyond its wait, and no more than patience has left", async () => {
    const { client, calls, clock } = start(1, ({ options }) =>
      sleep(clock, options.timeoutMs ?? Infinity).then(() => fail("timed-out")),
    );
    void client.acquire(RESOURCE, { waitMs: 60_000 }).catch(() => undefined);
    await clock.settle();
    expect(calls[0]?.options.timeoutMs).toBe(65_000);
    await clock.advance(100_000);
    calls.length = 0;
    const reading = new Watched(client.current(RESOURCE));
    await clock.advance(10_000);
    expect(reading.kind).toBe("timed-out");
    expect(calls.map(({ options }) => options.timeoutMs)).toEqual([5000, 4950]);
  });

  it("gives no address more than its share, so that each has its turn within the patience", async () => {
    for (const addresses of [2, 3, 5]) {
      const { client, calls, clock } = start(addresses, ({ at, options }) =>
        at === String.fromCharCode(96 + addresses)
          ? {}
          : sleep(clock, options.timeoutMs ?? Infinity).then(() => fail("timed-out")),
      );
      const reading = new Watched(client.current(RESOURCE));
      await clock.advance(10_000);
      expect([reading.isSettled, reading.error]).toEqual([true, undefined]);
      expect(calls).toHaveLength(addresses);
    }
  });

  it("says goodbye at the next address, too, when the first one does not answer that", async () => {
    const { client, calls, clock } = start(2, ({ at, method, options }) => {
      if (method === "Acquire") fail("unavailable");
      if (at === "b") return { outcome: 1 };
      return sleep(clock, options.timeoutMs ?? Infinity).then(() => fail("timed-out"));
    });
    const acquiring = new Watched(client.acquire(RESOURCE));
    await clock.advance(12_000);
    expect(acquiring.kind).toBe("unavailable");
    expect(calls.at(-1)).toMatchObject({ method: "Release", at: "b" });
  });
});

describe("a client whose lease id turns out to be used up", () => {
  it("takes a new one when an attempt before may have been granted and taken back", async () => {
    const { client, calls, clock } = start(1, (call, nth) => {
      if (nth === 0) fail("unavailable");
      if (nth === 1) fail("lease-lost");
      return grantAll(call, nth);
    });
    const acquiring = new Watched(client.acquire(RESOURCE));
    await clock.advance(1000);
    expect(acquiring.kind).toBe("granted");
    const ids = calls.map(({ request }) => request.leaseId);
    expect(ids[1]).toBe(ids[0]);
    expect(ids[2]).not.toBe(ids[0]);
  });

  it("says so when the id is the caller's own, or no attempt was uncertain", async () => {
    const own = start(1, (_call, nth) => fail(nth === 0 ? "unavailable" : "lease-lost"));
    const acquiring = new Watched(own.client.acquire(RESOURCE, { leaseId: "mine" }));
    await own.clock.advance(3000);
    expect(acquiring.kind).toBe("lease-lost");
    expect(own.calls.map(({ method }) => method)).toEqual(["Acquire", "Acquire", "Release"]);

    const first = start(1, () => fail("lease-lost"));
    await expect(first.client.acquire(RESOURCE)).rejects.toMatchObject({ kind: "lease-lost" });
    expect(first.calls).toHaveLength(1);
  });
});

describe("what a client believes", () => {
  it("counts from before the answered attempt was sent, not from the answer, nor from the first", async () => {
    const { client, clock } = start(1, async (call, nth) => {
      if (nth === 0) fail("unavailable");
      await sleep(clock, 300);
      return lease(call.request.leaseId, 10_000, 9000);
    });
    const startMs = clock.monotonicMs();
    const acquiring = new Watched(client.acquire(RESOURCE));
    await clock.advance(1000);
    expect(acquiring.value).toMatchObject({
      deadlineMs: holderDeadlineMs(startMs + 50, 9000, 10_000),
    });
    const renewing = new Watched(client.renew(RESOURCE, "x"));
    await clock.advance(1000);
    expect(renewing.value).toMatchObject({
      kind: "renewed",
      deadlineMs: holderDeadlineMs(startMs + 1000, 9000, 10_000),
    });
  });

  it("is made whole by one renewal after a wait in a queue", async () => {
    const { client, calls, clock } = start(1, async (call) => {
      if (call.method === "Acquire") await sleep(clock, 8000);
      return lease(call.request.leaseId);
    });
    const startMs = clock.monotonicMs();
    const acquiring = new Watched(client.acquire(RESOURCE, { waitMs: 60_000 }));
    await clock.advance(8000);
    expect(told(calls)).toEqual(["Acquire at a", "Renew at a"]);
    expect(acquiring.value).toMatchObject({
      kind: "granted",
      deadlineMs: holderDeadlineMs(startMs + 8000, 10_000, 10_000),
    });
  });

  it("needs no renewal when the wait was short", async () => {
    const { client, calls, clock } = start(1, async (call) => {
      await sleep(clock, 900);
      return lease(call.request.leaseId);
    });
    const acquiring = new Watched(client.acquire(RESOURCE, { waitMs: 60_000 }));
    await clock.advance(900);
    expect(acquiring.kind).toBe("granted");
    expect(calls).toHaveLength(1);
  });

  it("is nothing when that renewal finds the lease lost", async () => {
    const { client, clock } = start(1, async (call) => {
      if (call.method === "Renew") fail("lease-lost");
      await sleep(clock, 8000);
      return lease(call.request.leaseId);
    });
    const acquiring = new Watched(client.acquire(RESOURCE, { waitMs: 60_000 }));
    await clock.advance(8000);
    expect(acquiring.kind).toBe("held");
  });

  it("is given back when that renewal gets no answer, or the caller gives up in it", async () => {
    for (const isGivenUp of [false, true]) {
      const leave = new AbortController();
      const { client, calls, clock } = start(1, async (call) => {
        if (call.method === "Renew") {
          if (call.options.signal?.aborted !== true) await sleep(clock, 500);
          fail(call.options.signal?.aborted === true ? "cancelled" : "unavailable");
        }
        if (call.method === "Acquire") await sleep(clock, 8000);
        return call.method === "Release" ? { outcome: 1 } : lease(call.request.leaseId);
      });
      const options = { waitMs: 60_000, signal: leave.signal };
      const acquiring = new Watched(client.acquire(RESOURCE, options));
      await clock.advance(8100);
      if (isGivenUp) leave.abort();
      await clock.advance(isGivenUp ? 500 : 12_000);
      expect(acquiring.kind).toBe(isGivenUp ? "cancelled" : "unavailable");
      expect(calls.at(-1)).toMatchObject({
        method: "Release",
        request: { leaseId: calls[0]?.request.leaseId },
      });
    }
  });
});

describe("a client's answers", () => {
  it("tell who holds a lock, without an error and without a second question", async () => {
    const holder = { ...lease("x").lease, principal: "bob" };
    const { client, calls } = start(2, () => {
      throw new LockError("lock-held", "deploy/prod is held by bob", {
        holder: { ...holder, leaseId: "" } as never,
      });
    });
    expect(await client.acquire(RESOURCE)).toMatchObject({
      kind: "held",
      holder: { principal: "bob" },
      message: "deploy/prod is held by bob",
    });
    expect(calls).toHaveLength(1);
  });

  it("tell of a renewal that found its lease lost, of releases, of who holds and whether", async () => {
    const { client } = start(1, ({ method, request }) => {
      if (method === "Renew") fail("lease-lost", "gone");
      if (method === "Release") return { outcome: request.leaseId === "mine" ? 1 : 2 };
      if (method === "IsHeld") return { held: request.leaseId === "mine" };
      return request.resource === "free" ? {} : lease("mine");
    });
    expect(await client.renew(RESOURCE, "x")).toEqual({ kind: "lost", message: "gone" });
    expect(await client.release(RESOURCE, "mine")).toBe("released");
    expect(await client.release(RESOURCE, "other")).toBe("not-held");
    expect(await client.isHeld(RESOURCE, "mine")).toBe(true);
    expect(await client.isHeld(RESOURCE, "other")).toBe(false);
    expect(await client.current("free")).toBeUndefined();
    expect(await client.current(RESOURCE)).toMatchObject({ leaseId: "mine", ttlMs: 10_000 });
  });

  it("page through a list until it ends, asking again where an answer is missing", async () => {
    const { client, clock } = start(2, (call, nth) => {
      if (nth === 1) fail("unavailable");
      const { pageToken } = call.request as unknown as { pageToken: string };
      const leases = [{ resource: `r${pageToken}` }];
      return { leases, nextPageToken: pageToken === "11" ? "" : `${pageToken}1` };
    });
    const seen: string[] = [];
    for await (const { resource } of client.list("r")) seen.push(resource);
    expect(seen).toEqual(["r", "r1", "r11"]);
    expect(clock.pending).toBe(0);
  });

  describe("for a list with something that cannot be read", () => {
    const pages: Script = ({ request }) => {
      const { pageToken } = request as unknown as { pageToken: string };
      const unreadable = [{ resource: `x${pageToken}`, message: `x${pageToken} is gibberish` }];
      const leases = [{ resource: `r${pageToken}` }];
      return { leases, unreadable, nextPageToken: pageToken === "" ? "2" : "" };
    };

    it("tell of it by name, and go on", async () => {
      const { client } = start(1, pages);
      const seen: string[] = [];
      const unread: string[] = [];
      const onUnreadable = (...told: readonly string[]): void => {
        unread.push(told.join(": "));
      };
      for await (const { resource } of client.list("", { onUnreadable })) seen.push(resource);
      expect(seen).toEqual(["r", "r2"]);
      expect(unread).toEqual(["x: x is gibberish", "x2: x2 is gibberish"]);
    });

    it("end with an error where nobody is to be told, after all that can be read", async () => {
      const { client } = start(1, pages);
      const seen: string[] = [];
      const reading = (async () => {
        for await (const { resource } of client.list()) seen.push(resource);
      })();
      await expect(reading).rejects.toMatchObject({
        kind: "unavailable",
        message: "x is gibberish",
      });
      expect(seen).toEqual(["r", "r2"]);
    });
  });

  it("are refused without a lease in them, and without an address to ask", async () => {
    const { client } = start(1, () => ({}));
    await expect(client.renew(RESOURCE, "x")).rejects.toMatchObject({ kind: "internal" });
    expect(() => new LockClient({ transports: [], clock: new FakeClock() })).toThrow(
      expect.objectContaining({ kind: "invalid-field", field: "servers" }) as Error,
    );
  });
});

describe("what a client sends", () => {
  it("is the caller's wish, with the client's principal where the caller names none", async () => {
    const { client, calls } = start(1, grantAll);
    await client.acquire(RESOURCE, {
      ...{ ttlMs: 1500.4, waitMs: 2500.2, reason: "why", labels: { job: "7" } },
    });
    await client.acquire(RESOURCE, { principal: "bob", leaseId: "mine" });
    const [first, second] = calls.map(({ request }) => request as AcquireRequest);
    expect(first).toMatchObject({ resource: RESOURCE, principal: "ann", reason: "why" });
    expect(first?.leaseId).toMatch(/^[0-9a-f]{32}$/u);
    expect(first?.labels).toEqual({ job: "7" });
    expect([first?.ttl, first?.wait].map((each) => each && durationMs(each))).toEqual([1500, 2501]);
    expect(first?.ttl?.nanos).toBe(500_000_000);
    expect(second).toMatchObject({ principal: "bob", leaseId: "mine" });
    expect(second?.ttl).toBeUndefined();
  });

  it("tells the daemon of the wait that is left, not of the whole one again", async () => {
    const { client, calls, clock } = start(1, async (call, nth) => {
      if (nth > 0) return grantAll(call, nth);
      await sleep(clock, 4000);
      return fail("unavailable");
    });
    void client.acquire(RESOURCE, { waitMs: 10_000 });
    await clock.advance(5000);
    const waits = calls
      .filter(({ method }) => method === "Acquire")
      .map(({ request }) => durationMs((request as AcquireRequest).wait as never));
    expect(waits).toEqual([10_000, 5950]);
  });

  it("is a month's wait for one without end, and refused when it is no time at all", async () => {
    const { client, calls } = start(1, grantAll);
    expect(await client.acquire(RESOURCE, { waitMs: Infinity })).toMatchObject({ kind: "granted" });
    expect(durationMs((calls[0]?.request as AcquireRequest).wait as never)).toBe(31 * 86_400_000);
    for (const options of [{ waitMs: NaN }, { waitMs: -1 }, { ttlMs: NaN }, { ttlMs: Infinity }]) {
      await expect(client.acquire(RESOURCE, options)).rejects.toMatchObject({
        kind: "invalid-field",
      });
    }
    await expect(client.renew(RESOURCE, "x", { ttlMs: NaN })).rejects.toMatchObject({
      field: "ttl",
    });
    expect(calls).toHaveLength(1);
  });
});

describe("a caller that gives up", () => {
  it("ends the pause between two attempts at once, with an error of ours", async () => {
    const leave = new AbortController();
    const { client, clock, calls } = start(1, ({ method }) =>
      method === "Acquire" ? fail("unavailable") : { outcome: 1 },
    );
    const acquiring = new Watched(client.acquire(RESOURCE, { signal: leave.signal }));
    await clock.advance(500);
    leave.abort(new Error("the user's own words"));
    await clock.settle();
    expect(acquiring.kind).toBe("cancelled");
    expect(calls.at(-1)?.method).toBe("Release");
    expect(clock.pending).toBe(0);
  });

  it("is not asked for again", async () => {
    const leave = new AbortController();
    const { client, clock, calls } = start(2, ({ method }) => {
      if (method === "Release") return { outcome: 1 };
      leave.abort();
      return fail("cancelled");
    });
    await expect(client.acquire(RESOURCE, { signal: leave.signal })).rejects.toMatchObject({
      kind: "cancelled",
    });
    expect(told(calls)).toEqual(["Acquire at a", "Release at a"]);
    expect(clock.pending).toBe(0);
  });
});

describe("a client without a daemon", () => {
  function open(options: Parameters<typeof startDaemon>[0] = {}) {
    const daemon = startDaemon(options);
    const transport = new InProcessTransport(
      new LockService(daemon.locks),
      new HoldHub(daemon.locks),
      daemon.clock,
    );
    const client = new LockClient({ transports: [transport], clock: daemon.clock });
    return { ...daemon, client };
  }

  it("tells the same story: granted, held, renewed, released, lost", async () => {
    const { client } = open();
    const mine = await client.acquire(RESOURCE, { leaseId: "mine", ttlMs: 5000 });
    expect(mine).toMatchObject({ kind: "granted", lease: { leaseId: "mine", ttlMs: 5000 } });
    const other = await client.acquire(RESOURCE);
    expect(other).toMatchObject({ kind: "held", holder: { leaseId: "" } });
    expect(await client.renew(RESOURCE, "mine")).toMatchObject({ kind: "renewed" });
    expect(await client.isHeld(RESOURCE, "mine")).toBe(true);
    expect(await client.release(RESOURCE, "mine")).toBe("released");
    expect(await client.renew(RESOURCE, "mine")).toMatchObject({ kind: "lost" });
    await expect(client.acquire(RESOURCE, { leaseId: "mine" })).rejects.toMatchObject({
      kind: "lease-lost",
    });
  });

  it("asks a store that has not answered in time again, and gives back what it granted unseen", async () => {
    let isSlow = true;
    const { client, clock, backend, locks } = open({
      faults: ({ method }) => (isSlow && method === "acquire" ? { afterMs: 6000 } : undefined),
    });
    const acquiring = new Watched(client.acquire(RESOURCE));
    await clock.advance(5500);
    isSlow = false;
    await clock.advance(20_000);
    expect(acquiring.kind).toBe("granted");
    expect(asked(backend).filter((call) => call.startsWith("acquire")).length).toBeLessThan(4);
    expect([locks.waiters, clock.pending]).toEqual([0, 0]);
  });

  it("has an answer within the time that a call is given", async () => {
    const { locks, clock } = startDaemon();
    ask(locks, "owner");
    await clock.settle();
    const transport = new InProcessTransport(new LockService(locks), new HoldHub(locks), clock);
    const wish = { resource: RESOURCE, leaseId: "a", wait: durationFromMs(60_000) };
    const calling = new Watched(transport.unary("acquire", wish, { timeoutMs: 1000 }));
    await clock.advance(999);
    expect(calling.kind).toBe("open");
    await clock.advance(1);
    expect(calling.kind).toBe("timed-out");
    expect([locks.waiters, clock.pending]).toEqual([0, 0]);
  });

  it("ends the wait of a caller who gives up, and leaves nothing behind", async () => {
    const { client, clock, locks } = open();
    await client.acquire(RESOURCE);
    const leave = new AbortController();
    const options = { waitMs: Infinity, signal: leave.signal };
    const waiting = new Watched(client.acquire(RESOURCE, options));
    await clock.advance(1000);
    leave.abort();
    await clock.settle();
    expect(waiting.kind).toBe("cancelled");
    expect([locks.waiters, locks.busyResources, clock.pending]).toEqual([0, 0, 0]);
  });

  it("keeps nothing of a call that is over at a signal that lives on", async () => {
    const { locks, clock } = startDaemon();
    const hub = new HoldHub(locks);
    const transport = new InProcessTransport(new LockService(locks), hub, clock);
    const client = new LockClient({ transports: [transport], clock });
    const { signal } = new AbortController();
    for (let count = 0; count < 50; count++) await client.current(RESOURCE, signal);
    expect(getEventListeners(signal, "abort")).toEqual([]);
    const any = vi.spyOn(AbortSignal, "any");
    await client.current(RESOURCE, signal);
    expect(any).not.toHaveBeenCalled();
    any.mockRestore();
    expect(clock.pending).toBe(0);
    await client[Symbol.asyncDispose]();
    await expect(transport.unary("current", { resource: RESOURCE }, {})).rejects.toMatchObject({
      kind: "cancelled",
    });
  });

  it("ends every wait when it is closed", async () => {
    const { client, clock, locks } = open();
    await client.acquire(RESOURCE);
    const waiting = new Watched(client.acquire(RESOURCE, { waitMs: Infinity }));
    await clock.settle();
    await client[Symbol.asyncDispose]();
    await clock.advance(15_000);
    expect(waiting.kind).toBe("cancelled");
    expect([locks.waiters, clock.pending]).toEqual([0, 0]);
  });
});
