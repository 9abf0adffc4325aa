import { expect, it } from "vitest";
import { Tally } from "../../src/rpc/tally.js";
import { FakeClock } from "../support/fake-clock.js";

it("what happens all the time is told of at once, and then every ten seconds, all together", async () => {
  const clock = new FakeClock();
  const told: number[] = [];
  const tally = new Tally(clock, (count) => told.push(count));
  for (let count = 0; count < 100; count++) tally.add();
  expect(told).toEqual([1]);
  await clock.advance(10_000);
  expect(told).toEqual([1, 99]);
  await clock.advance(20_000);
  expect([told, clock.pending]).toEqual([[1, 99], 0]);
  tally.add();
  expect(told).toEqual([1, 99, 1]);
  tally.stop();
  expect(clock.pending).toBe(0);
});
