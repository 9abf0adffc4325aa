import { expect, it } from "vitest";
import { holder, storeFile, take } from "./stage.js";

it("a renewal that comes late gives no more life than one in time", async () => {
  await using file = await storeFile();
  await using backend = await file.open();
  const lease = await take(backend, "a", { ttlMs: 1000 });
  await backend.renew([{ ...lease, ttlMs: 60_000, ageMs: 20_000 }]);
  const left = (await holder(backend, "a"))?.remainingMs ?? 0;
  expect(left).toBeGreaterThan(30_000);
  expect(left).toBeLessThanOrEqual(40_000);
  await backend.renew([{ ...lease, ttlMs: 60_000, ageMs: 50_000 }]);
  expect((await holder(backend, "a"))?.remainingMs).toBeGreaterThan(30_000);
});
