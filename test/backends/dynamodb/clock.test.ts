import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { ClockWatch } from "../../../src/backends/dynamodb/clock-watch.js";
import { FakeClock } from "../../support/fake-clock.js";
import { failure } from "./http-proxy.js";
import { ask, client, holder, spoiltClient, take, withDynamodb, WrongClock } from "./stage.js";

const HOUR_MS = 3_600_000;

await withDynamodb("dynamodb, when clocks differ", (stage) => {
  it.each([HOUR_MS, -HOUR_MS])(
    "a wall clock that is %i ms off is refused in one line, and harms nobody",
    async (aheadMs) => {
      await using right = await client(stage.settings);
      const resource = `off/${String(aheadMs)}`;
      const lease = await take(right, resource);
      await using wrong = await client(stage.settings, new WrongClock(aheadMs));
      const message = new RegExp(
        `^this host's clock is at least (59m|1h).* ${aheadMs > 0 ? "ahead of" : "behind"} that of stormlock_leases .*: set it right`,
        "u",
      );
      const refusal = { kind: "unavailable", message: expect.stringMatching(message) as string };
      await expect(wrong.check()).rejects.toMatchObject(refusal);
      const failed = { kind: "failed", error: refusal };
      expect(await wrong.acquire([ask(resource)])).toMatchObject([failed]);
      expect(await wrong.acquire([ask(`${resource}/free`)])).toMatchObject([failed]);
      expect(await wrong.renew([{ ...lease, ttlMs: undefined }])).toMatchObject([failed]);
      expect(await wrong.release([lease])).toMatchObject([failed]);
      await expect(wrong.current([resource])).rejects.toMatchObject(refusal);
      const all = { prefix: "off", after: undefined, limit: 9 };
      await expect(wrong.list(all)).rejects.toMatchObject(refusal);

      expect((await holder(right, resource))?.revision).toBe(lease.revision);
      expect(await holder(right, `${resource}/free`)).toBeUndefined();
      expect(await right.release([lease])).toEqual([{ kind: "released" }]);
    },
  );

  it("a wall clock that is moved between two calls takes no lock, and is trusted when it is right again", async () => {
    const clock = new WrongClock();
    await using moved = await client(stage.settings, clock);
    await using other = await client(stage.settings);
    await moved.check();
    const lease = await take(other, "moved");
    const mine = await take(moved, "mine");
    for (const aheadMs of [HOUR_MS, -HOUR_MS]) {
      clock.aheadMs = aheadMs;
      expect((await moved.acquire([ask("moved")]))[0]?.kind).toBe("failed");
      clock.aheadMs = 0;
      expect((await moved.acquire([ask("moved")]))[0]?.kind).toBe("held");
      expect((await moved.renew([{ ...mine, ttlMs: undefined }]))[0]?.kind).toBe("renewed");
    }
    expect((await holder(other, "moved"))?.revision).toBe(lease.revision);
  });

  it.each([
    ["InvalidSignatureException", HOUR_MS, /^this host's clock is at least 59m.* behind that of/u],
    [
      "InvalidSignatureException",
      -HOUR_MS,
      /^this host's clock is at least (59m|1h).* ahead of that/u,
    ],
    ["RequestExpired", HOUR_MS, /^this host's clock is at least 59m.* behind that of/u],
    ["InvalidSignatureException", 60_000, / refuses the credentials /u],
  ])(
    "a refusal as %s with a Date that is %i ms ahead is told as what it is",
    async (type, dateAheadMs, message) => {
      await using spoilt = await spoiltClient(stage);
      spoilt.proxy.fate = () => ({ ...failure(400, type), dateAheadMs });
      await expect(spoilt.backend.check()).rejects.toMatchObject({
        kind: "unavailable",
        message: expect.stringMatching(message) as string,
      });
    },
  );

  it("a taker-over whose clock is ahead waits for a holder whose clock is behind", async () => {
    await using slow = await client(stage.settings, new WrongClock(-400));
    await using fast = await client(stage.settings, new WrongClock(400));
    await slow.check();
    await fast.check();
    const ttlMs = 1500;
    const askedAtMs = performance.now();
    const lease = await take(slow, "skewed", { ttlMs });
    for (;;) {
      const [answer] = await fast.acquire([ask("skewed")]);
      const agoMs = performance.now() - askedAtMs;
      if (answer?.kind === "granted") {
        expect(agoMs).toBeGreaterThan(ttlMs);
        expect(answer.lease.token).toBeGreaterThan(lease.token);
        return;
      }
      expect(answer?.kind).toBe("held");
      expect(agoMs).toBeLessThan(ttlMs + 2 * fast.traits.takeoverSlackMs + 3000);
      await pause(20);
    }
  });

  it("a renewal through a daemon whose clock is ahead loses no lease that its holder believes in", async () => {
    await using slow = await client(stage.settings, new WrongClock(-400));
    await using fast = await client(stage.settings, new WrongClock(400));
    await slow.check();
    await fast.check();
    const lease = await take(slow, "believed", { ttlMs: 1500 });
    await pause(1000);
    expect((await fast.renew([{ ...lease, ttlMs: 1500 }]))[0]?.kind).toBe("renewed");
    await pause(1000);
    expect((await slow.renew([{ ...lease, ttlMs: 1500 }]))[0]?.kind).toBe("renewed");
  });

  it("an end that a clock ahead has set is not moved to an earlier time by one behind", async () => {
    await using slow = await client(stage.settings, new WrongClock(-400));
    await using fast = await client(stage.settings, new WrongClock(400));
    const lease = await take(fast, "ends", { ttlMs: 10_000 });
    const [renewed] = await slow.renew([{ ...lease, ttlMs: 10_000 }]);
    expect(renewed).toMatchObject({ lease: { expiresAtUs: lease.expiresAtUs } });
    const [replayed] = await slow.acquire([ask("ends", { ...lease, ttlMs: 10_000 })]);
    expect(replayed).toMatchObject({ lease: { expiresAtUs: lease.expiresAtUs } });
  });
});

describe("the store's time, followed by its Date headers", () => {
  const STORE_MS = Date.parse("2026-01-01T00:00:00Z");

  // A host whose clock is `aheadMs` ahead of a store that answers after 20 ms.
  function host(aheadMs: number, skewMs = 1000) {
    const clock = new FakeClock();
    clock.wallOffsetMs = STORE_MS + aheadMs - clock.monotonicMs();
    const startedMs = clock.monotonicMs();
    const watch = new ClockWatch(clock, "a table", skewMs);
    const storeMs = (): number => STORE_MS + clock.monotonicMs() - startedMs;
    const answered = async (): Promise<void> => {
      const sentAtMs = clock.monotonicMs();
      await clock.advance(10);
      const date = new Date(storeMs()).toUTCString();
      await clock.advance(10);
      watch.note(date, sentAtMs, clock.monotonicMs());
    };
    return { clock, watch, answered };
  }

  it("one answer shows what is off by more than its whole seconds can hide", async () => {
    for (const aheadMs of [1700, -1700]) {
      const { watch, answered } = host(aheadMs);
      expect(watch.nowUs()).toBe((STORE_MS + aheadMs) * 1000);
      await answered();
      expect(() => watch.nowUs()).toThrow(/this host's clock is at least/u);
    }
  });

  it("a clock within half of the skew is never refused, whenever its answers come", async () => {
    for (const aheadMs of [0, 480, -480]) {
      const { clock, watch, answered } = host(aheadMs);
      for (let n = 0; n < 500; n++) {
        await answered();
        watch.nowUs();
        await clock.advance(173);
      }
    }
  });

  it("a clock that is off by little more than half of the skew is found out in time", async () => {
    for (const aheadMs of [700, -700]) {
      const { clock, watch, answered } = host(aheadMs);
      let refusals = 0;
      for (let n = 0; n < 50; n++) {
        await answered();
        try {
          watch.nowUs();
        } catch {
          refusals += 1;
        }
        await clock.advance(173);
      }
      expect(refusals).toBeGreaterThan(25);
    }
  });

  it("a store whose own clock was set is believed at its word", async () => {
    const { clock, watch, answered } = host(0);
    await answered();
    const sentAtMs = clock.monotonicMs();
    watch.note(new Date(STORE_MS + HOUR_MS).toUTCString(), sentAtMs, sentAtMs);
    expect(() => watch.nowUs()).toThrow(/behind that of a table/u);
    await clock.advance(60_000);
    await answered();
    watch.nowUs();
  });

  it("an answer without a date changes nothing", async () => {
    const { watch, answered } = host(0);
    await answered();
    watch.note(undefined, 0, 0);
    watch.note("never", 0, 0);
    watch.nowUs();
  });
});
