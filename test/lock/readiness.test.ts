import { describe, expect, it } from "vitest";
import { Readiness } from "../../src/rpc/readiness.js";
import { FakeClock } from "../support/fake-clock.js";

function start() {
  const clock = new FakeClock();
  const store = { asked: 0, isGone: false, takesMs: 0 };
  const readiness = new Readiness({
    clock,
    check: async () => {
      store.asked += 1;
      if (store.takesMs > 0)
        await new Promise<void>((answer) => clock.after(store.takesMs, answer));
      if (store.isGone) throw new Error("the disk is gone");
    },
    onChange: () => undefined,
  });
  return { clock, store, readiness };
}

describe("whether a daemon is ready", () => {
  it("is asked of its stores once a second at the most, however many want to know", async () => {
    const { clock, store, readiness } = start();
    for (let count = 0; count < 100; count++) expect(await readiness.complaint()).toBeUndefined();
    expect(store.asked).toBe(1);
    store.isGone = true;
    await clock.advance(999);
    expect(await readiness.complaint()).toBeUndefined();
    await clock.advance(1);
    expect(await readiness.complaint()).toBe("the disk is gone");
    expect(store.asked).toBe(2);
    readiness.drain();
    expect(await readiness.complaint()).toContain("about to stop");
    expect(clock.pending).toBe(0);
  });

  it("is one question while a store takes its time, and its answer counts from when it comes", async () => {
    const { clock, store, readiness } = start();
    await clock.advance(1000);
    store.takesMs = 3000;
    const first = readiness.complaint();
    await clock.advance(2000);
    const second = readiness.complaint();
    await clock.advance(1000);
    expect(await Promise.all([first, second])).toEqual([undefined, undefined]);
    await clock.advance(999);
    expect(await readiness.complaint()).toBeUndefined();
    expect(store.asked).toBe(2);
    readiness.drain();
  });
});
