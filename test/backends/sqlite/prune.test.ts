import { expect, it } from "vitest";
import { ask, holder, ShiftedClocks, storeFile, take, type StoreFile } from "./stage.js";

const HOUR_MS = 3_600_000;
const OLD = 300;

const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${prefix}/${String(n)}`);

async function rows(file: StoreFile): Promise<number> {
  const database = await file.raw();
  try {
    return Number(database.prepare("SELECT count(*) AS n FROM leases").get()?.["n"]);
  } finally {
    database.close();
  }
}

it("rows that nobody has needed for a day go as new ones come, others stay", async () => {
  await using file = await storeFile();
  const clocks = new ShiftedClocks();
  await using backend = await file.open({ aheadUs: clocks.aheadUs });
  const old = names("old", OLD).map((name) => ask(name));
  await backend.acquire(old);
  await backend.release(old.slice(0, OLD / 2)); // The other half ends by itself.
  const held = await take(backend, "held", { ttlMs: 72 * HOUR_MS });
  clocks.move(23 * HOUR_MS);
  const recent = await take(backend, "recent");
  await backend.release([recent]);
  await backend.acquire(names("new", OLD).map((name) => ask(name)));
  expect(await rows(file)).toBe(2 * OLD + 2);

  clocks.move(1.5 * HOUR_MS);
  // Small steps: nobody pays for all of them at once.
  await take(backend, "one/more");
  expect(await rows(file)).toBeGreaterThan(2 * OLD - 4);
  for (const batch of [1, 2, 3]) {
    await backend.acquire(names(`later/${String(batch)}`, OLD / 2).map((name) => ask(name)));
  }
  expect(await rows(file)).toBe(OLD + 2 + 1 + 3 * (OLD / 2));
  expect((await holder(backend, "held"))?.token).toBe(held.token);
  expect((await backend.acquire([recent]))[0]?.kind).toBe("spent");
});

it("the token of a pruned resource still grows, even when the wall clock went back", async () => {
  await using file = await storeFile();
  const clocks = new ShiftedClocks();
  const before = await file.open({ bootId: "first", aheadUs: clocks.aheadUs });
  clocks.move(48 * HOUR_MS); // A wall clock that is two days ahead, then set right.
  const lease = await take(before, "a");
  await before.release([lease]);
  clocks.move(25 * HOUR_MS);
  await before.acquire(names("new", 10).map((name) => ask(name)));
  await before[Symbol.asyncDispose]();
  expect(await rows(file)).toBe(10);

  clocks.move(-73 * HOUR_MS);
  await using after = await file.open({ bootId: "second", aheadUs: clocks.aheadUs });
  const wallUs = BigInt(Date.now()) * 1000n;
  const next = await take(after, "a");
  expect(next.token).toBeGreaterThan(lease.token);
  expect(next.createdAtUs).toBeLessThan(wallUs + BigInt(HOUR_MS) * 1000n);
});
