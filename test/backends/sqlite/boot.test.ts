import { describe, expect, it } from "vitest";
import { holder, ShiftedClocks, storeFile, take } from "./stage.js";

const TTL_MS = 10_000;

describe("after a reboot", () => {
  it("a lease has its whole ttl anew, and ends after it", async () => {
    await using file = await storeFile();
    const clocks = new ShiftedClocks();
    const before = await file.open({ bootId: "first", aheadUs: clocks.aheadUs });
    const lease = await take(before, "a");
    clocks.move(TTL_MS - 1000);
    expect((await holder(before, "a"))?.remainingMs).toBeLessThanOrEqual(1000);
    await take(before, "witness"); // The last that the file knows of the old boot.
    await before[Symbol.asyncDispose]();

    clocks.move(-3_600_000); // The monotonic clock starts anew, and the wall clock went back.
    await using after = await file.open({ bootId: "second", aheadUs: clocks.aheadUs });
    const carried = await holder(after, "a");
    expect(carried).toMatchObject({ leaseId: lease.leaseId, token: lease.token });
    expect(carried?.remainingMs).toBeGreaterThan(TTL_MS - 2000);
    expect((await after.renew([{ ...lease, ttlMs: undefined }]))[0]?.kind).toBe("renewed");
    clocks.move(TTL_MS + 1);
    expect(await holder(after, "a")).toBeUndefined();
    expect((await take(after, "a")).token).toBeGreaterThan(lease.token);
  });

  it("a lease that had more left than its ttl keeps that", async () => {
    await using file = await storeFile();
    const before = await file.open({ bootId: "first" });
    const lease = await take(before, "a", { ttlMs: 600_000 });
    await before.renew([{ ...lease, ttlMs: TTL_MS }]);
    await before[Symbol.asyncDispose]();
    await using after = await file.open({ bootId: "second" });
    expect((await holder(after, "a"))?.remainingMs).toBeGreaterThan(590_000);
  });

  it("what had ended stays ended, and its id stays spent", async () => {
    await using file = await storeFile();
    const clocks = new ShiftedClocks();
    const before = await file.open({ bootId: "first", aheadUs: clocks.aheadUs });
    const [released, expired] = [await take(before, "released"), await take(before, "expired")];
    await before.release([released]);
    clocks.move(TTL_MS + 1);
    await take(before, "witness"); // A write that came after the end.
    await before[Symbol.asyncDispose]();

    clocks.move(-3_600_000);
    await using after = await file.open({ bootId: "second", aheadUs: clocks.aheadUs });
    expect(await after.current(["released", "expired"])).toEqual([undefined, undefined]);
    expect(await holder(after, "witness")).toBeDefined();
    for (const lease of [released, expired]) {
      expect((await after.acquire([lease]))[0]?.kind).toBe("spent");
      expect((await take(after, lease.resource)).token).toBeGreaterThan(lease.token);
    }
  });

  it("the ttl is given once, by whoever opens first", async () => {
    await using file = await storeFile();
    const clocks = new ShiftedClocks();
    const before = await file.open({ bootId: "first", aheadUs: clocks.aheadUs });
    await take(before, "a");
    await before[Symbol.asyncDispose]();
    const hooks = { bootId: "second", aheadUs: clocks.aheadUs };
    const openers = await Promise.all(Array.from({ length: 6 }, () => file.open(hooks)));
    for (const opener of openers) expect(await holder(opener, "a")).toBeDefined();
    clocks.move(TTL_MS / 2);
    for (const opener of openers) await opener[Symbol.asyncDispose]();
    await using last = await file.open(hooks);
    expect((await holder(last, "a"))?.remainingMs).toBeLessThanOrEqual(TTL_MS / 2);
  });
});

it("a file that another machine uses is left alone, and that is said", async () => {
  await using file = await storeFile();
  await using here = await file.open({ bootId: "here" });
  const lease = await take(here, "a");
  await using there = await file.open({ bootId: "there" });
  expect((await holder(there, "a"))?.leaseId).toBe(lease.leaseId);
  const overtaken = {
    kind: "unavailable",
    message: expect.stringContaining("another machine") as unknown,
  };
  await expect(here.renew([{ ...lease, ttlMs: undefined }])).rejects.toMatchObject(overtaken);
  await expect(here.current(["a"])).rejects.toMatchObject(overtaken);
  await expect(here.check()).rejects.toMatchObject(overtaken);
  expect((await there.release([lease]))[0]?.kind).toBe("released");
});
