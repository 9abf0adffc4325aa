import { expect, it } from "vitest";
import { loadDriver } from "../../../src/backends/sqlite/driver.js";
import { openHostClock, type HostClock } from "../../../src/backends/sqlite/host-clock.js";
import { NO_REVISION, type AnswerValues } from "../../../src/backends/sqlite/messages.js";
import { Store } from "../../../src/backends/sqlite/store.js";
import { storeFile } from "./stage.js";

class StillClock implements HostClock {
  readonly bootId = "boot";
  awakeUs = 1_000_000;
  sleptUs = 0;

  monotonicUs(): number {
    return this.awakeUs;
  }
  suspendedUs(): number {
    return this.sleptUs;
  }
  wallUs(): number {
    return 1_700_000_000_000_000 + this.awakeUs;
  }
}

function acquire(store: Store, leaseId: string): string {
  const [answers] = store.write([["acquire", [["a", leaseId, "ann", 10_000, "", "{}"]]]]);
  return (answers as AnswerValues[])[0]?.[0] ?? "none";
}

function isHeld(store: Store): boolean {
  const [leases] = store.read([["current", ["a"]]]);
  return (leases as unknown[])[0] !== undefined;
}

it("time counts while the machine is suspended, and all processes agree about it", async () => {
  await using file = await storeFile();
  const driver = await loadDriver();
  const [early, late] = [new StillClock(), new StillClock()];
  const [one, other] = [early, late].map(
    (clock) => new Store(driver, { path: file.path, busyMs: 100, clock, isLasting: false }),
  ) as [Store, Store];
  one.open();
  other.open();
  expect(acquire(one, "first")).toBe("granted");

  // Asleep for 9.99 s: one process has noticed, the other has not.
  early.sleptUs = 9_990_000;
  expect(acquire(one, "second")).toBe("held");
  expect(isHeld(other)).toBe(true);
  early.awakeUs += 10_000;
  late.awakeUs += 10_000;
  expect(isHeld(other)).toBe(false);
  expect(acquire(other, "second")).toBe("granted");

  // What one measures a little differently from the other moves no time back or forth.
  early.sleptUs += 40_000;
  late.sleptUs = 9_980_000;
  const remaining = [one, other, one].map((store) => {
    const [answers] = store.write([["acquire", [["a", "x", "ann", 1, "", "{}"]]]]);
    return ((answers as AnswerValues[])[0]?.[1] ?? [])[4];
  });
  expect(remaining).toEqual([10_000, 10_000, 10_000]);
  expect(other.write([["release", [["a", "second", NO_REVISION]]]])).toEqual([[["released"]]]);
  one.close();
  other.close();
});

it("this host's clock goes on, in µs, and names its boot", async () => {
  const clock = openHostClock();
  const startedUs = clock.monotonicUs();
  const startedMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const passedMs = performance.now() - startedMs;
  expect((clock.monotonicUs() - startedUs) / 1000).toBeCloseTo(passedMs, -1);
  expect(Number.isSafeInteger(clock.monotonicUs())).toBe(true);
  expect(clock.suspendedUs()).toBeGreaterThanOrEqual(0);
  expect(Math.abs(clock.wallUs() - Date.now() * 1000)).toBeLessThan(1_000_000);
  expect(clock.bootId).toBe(openHostClock().bootId);
  expect(clock.bootId.length).toBeGreaterThan(10);
});
