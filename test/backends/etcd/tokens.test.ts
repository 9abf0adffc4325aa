import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { Clock } from "../../../src/lock/clock.js";
import { systemClock } from "../../../src/system-clock.js";
import { EtcdServer } from "../../support/servers/etcd.js";
import { ask, holder, missing, open, outcome, take } from "./stage.js";

const HOUR_MS = 3_600_000;
const SHORT_MS = 2000;

// A daemon whose wall clock is wrong. Its other clocks run as ever.
const shifted = (byMs: number): Clock => ({
  ...systemClock,
  wallMs: () => systemClock.wallMs() + byMs,
});

describe.skipIf(missing !== undefined)("etcd's tokens and memory", () => {
  it("tokens grow across release, expiry and a restart of the server", async () => {
    await using server = await EtcdServer.start();
    await using backend = await open(server.address);
    const first = await take(backend, "a");
    await backend.release([first]);
    const second = await take(backend, "a", { ttlMs: SHORT_MS });
    expect(second.token).toBeGreaterThan(first.token);
    await pause(SHORT_MS + backend.traits.takeoverSlackMs);
    const third = await take(backend, "a");
    expect(third.token).toBeGreaterThan(second.token);
    await server.restart();
    expect((await holder(backend, "a"))?.token).toBe(third.token);
    expect(outcome((await backend.release([third]))[0])).toBe("released");
    await server.restart();
    expect(outcome((await backend.acquire([third]))[0])).toBe("spent");
    expect((await take(backend, "a")).token).toBeGreaterThan(third.token);
  });

  it("what nobody has needed for a day is forgotten, and tokens still grow", async () => {
    await using server = await EtcdServer.start();
    const admin = server.admin();
    const remembered = async (): Promise<string[]> =>
      await admin.getAll().prefix("stormlock/last/").keys();
    const many = (prefix: string, count: number) =>
      Array.from({ length: count }, (_, n) => ask(`${prefix}/${String(n)}`));

    await using backend = await open(server.address);
    const old = many("old", 100);
    const grants = await backend.acquire(old);
    await backend.release(old);
    // By the late clocks it ended long ago. They are not asked.
    await take(backend, "old/held");
    // Of another program: it stays, and keeps nobody from what comes after it.
    await admin.put("stormlock/last/foreign").value("deadbeef");

    // 23 hours are not enough.
    await using soon = await open(server.address, {}, shifted(23 * HOUR_MS));
    await soon.acquire(many("soon", 100));
    await soon[Symbol.asyncDispose]();
    expect(await remembered()).toHaveLength(202);
    expect(outcome((await backend.acquire(old.slice(0, 1)))[0])).toBe("spent");

    for (const round of [1, 2, 3, 4]) {
      await using late = await open(server.address, {}, shifted(31 * HOUR_MS));
      await late.acquire(many(`late/${String(round)}`, 64));
    }
    const left = await remembered();
    expect(left).toContain("stormlock/last/old/held");
    expect(left).toContain("stormlock/last/foreign");
    expect(left.filter((key) => key.includes("/old/"))).toHaveLength(1);
    expect(left.filter((key) => key.includes("/soon/"))).toHaveLength(100);

    const again = await backend.acquire(old.map(({ resource }) => ask(resource)));
    for (const [n, answer] of again.entries()) {
      const before = grants[n];
      if (answer.kind !== "granted" || before?.kind !== "granted") throw new Error("not granted");
      expect(answer.lease.token).toBeGreaterThan(before.lease.token);
    }
  });

  it("a lock that is renewed for days is remembered as long after its end", async () => {
    await using server = await EtcdServer.start();
    const admin = server.admin();
    await using backend = await open(server.address);
    const lease = await take(backend, "kept");
    const keptUntil = async (): Promise<number> =>
      (JSON.parse((await admin.get("stormlock/last/kept")) ?? "{}") as { keptUntilMs: number })
        .keptUntilMs;
    const atFirst = await keptUntil();
    await backend.renew([{ ...lease, ttlMs: undefined }]);
    expect(await keptUntil()).toBe(atFirst);
    await using later = await open(server.address, {}, shifted(20 * HOUR_MS));
    await later.renew([{ ...lease, ttlMs: undefined }]);
    expect(await keptUntil()).toBeGreaterThan(atFirst + 19 * HOUR_MS);
    await later.release([lease]);
    expect(outcome((await later.acquire([lease]))[0])).toBe("spent");
  });

  it("a daemon's wall clock that is an hour off changes nothing", async () => {
    await using server = await EtcdServer.start();
    await using right = await open(server.address);
    for (const byMs of [HOUR_MS, -HOUR_MS]) {
      await using wrong = await open(server.address, {}, shifted(byMs));
      const resource = `clock/${String(byMs)}`;
      const lease = await take(wrong, resource, { ttlMs: 3000 });
      expect(lease.remainingMs).toBeGreaterThan(2000);
      expect(outcome((await right.acquire([ask(resource)]))[0])).toBe("held");
      await pause(1500);
      expect(outcome((await wrong.renew([{ ...lease, ttlMs: undefined }]))[0])).toBe("renewed");
      await pause(2000);
      expect((await holder(right, resource))?.token).toBe(lease.token);
      await pause(1000 + right.traits.takeoverSlackMs);
      const next = await take(right, resource);
      expect(next.token).toBeGreaterThan(lease.token);
      expect(outcome((await wrong.renew([{ ...lease, ttlMs: undefined }]))[0])).toBe("lost");
      expect(outcome((await wrong.release([lease]))[0])).toBe("not-held");
      expect(outcome((await wrong.release([next]))[0])).toBe("released");
    }
  });
});
