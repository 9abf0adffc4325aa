import { describe, expect, it } from "vitest";
import { Belief } from "../../../src/lock/holder/belief.js";
import { holderDeadlineMs } from "../../../src/lock/holder/deadline.js";
import { FakeClock } from "../../support/fake-clock.js";

describe("the holder's deadline", () => {
  it("is t0 + 99 % of what is valid - 5 % of the ttl, or 100 ms where that is more", () => {
    expect(holderDeadlineMs(0, 10_000, 10_000)).toBe(9900 - 500);
    expect(holderDeadlineMs(5000, 4000, 10_000)).toBe(5000 + 3960 - 500);
    expect(holderDeadlineMs(0, 1000, 1000)).toBe(990 - 100);
    expect(holderDeadlineMs(0, 2000, 2000)).toBe(1980 - 100);
    expect(holderDeadlineMs(0, 0, 10_000)).toBe(-500);
  });

  it("comes before the store may grant to another, however the two clocks drift within 1 %", () => {
    for (const ttlMs of [1000, 5000, 60_000, 31 * 86_400_000]) {
      for (const share of [0.25, 0.5, 1]) {
        for (const rate of [0.99, 0.995, 1, 1.01]) {
          // A slow clock of the holder shows less than what has gone by at the store.
          const atStoreMs = holderDeadlineMs(0, share * ttlMs, ttlMs) / rate;
          expect(atStoreMs).toBeLessThan(share * ttlMs);
        }
      }
    }
  });
});

function start(ttlMs = 10_000) {
  const clock = new FakeClock();
  return { clock, belief: new Belief(clock, ttlMs), t0: clock.monotonicMs() };
}

describe("belief", () => {
  it("is pending until the first answer that comes in time", async () => {
    const { clock, belief, t0 } = start();
    expect([belief.state, belief.isHeld]).toEqual(["PENDING", false]);
    await clock.advance(9400);
    // On the very deadline it is too late.
    expect(belief.confirm(t0, 10_000)).toBe(false);
    expect(belief.state).toBe("PENDING");
    expect(belief.confirm(t0 + 9000, 10_000)).toBe(true);
    expect([belief.state, belief.isHeld]).toEqual(["HELD", true]);
    expect(belief.deadlineMs).toBe(t0 + 9000 + 9400);
  });

  it("does not begin with a lease that a slow store gave with little left, but goes on with one", async () => {
    const { clock, belief, t0 } = start();
    await clock.advance(300);
    // 9400 is what a fresh grant gives; half of it must be left.
    expect(belief.confirm(t0, 5550)).toBe(false);
    expect([belief.state, belief.isHeld]).toEqual(["PENDING", false]);
    expect(belief.confirm(t0, 5560)).toBe(true);
    expect(belief.state).toBe("HELD");
    expect(belief.confirm(t0 + 200, 5600)).toBe(true);
    await clock.advance(4800);
    expect(belief.confirm(t0 + 5000, 1600)).toBe(true);
    expect(belief.isHeld).toBe(true);
  });

  it("is at risk when half a ttl has gone by since the confirmed heartbeat, and held again after the next", async () => {
    const { clock, belief, t0 } = start();
    await clock.advance(300);
    belief.confirm(t0, 10_000);
    expect(belief.riskAtMs).toBe(t0 + 5000);
    await clock.advance(4699);
    expect(belief.state).toBe("HELD");
    await clock.advance(1);
    expect([belief.state, belief.isHeld]).toEqual(["AT_RISK", true]);
    belief.confirm(t0 + 4900, 10_000);
    expect(belief.state).toBe("HELD");
  });

  it("ends at the deadline to the millisecond, whoever looks, and a late answer revives nothing", async () => {
    const { clock, belief, t0 } = start();
    belief.confirm(t0, 10_000);
    await clock.advance(9399);
    expect(belief.isHeld).toBe(true);
    await clock.advance(1);
    expect([belief.state, belief.isHeld]).toEqual(["LOST", false]);
    expect(belief.confirm(clock.monotonicMs(), 10_000)).toBe(false);
    expect([belief.state, belief.deadlineMs]).toEqual(["LOST", t0 + 9400]);
  });

  it("is not revived by an answer that arrives late, though nobody has looked in between", async () => {
    const { clock, belief, t0 } = start();
    belief.confirm(t0, 10_000);
    await clock.advance(9500);
    expect(belief.confirm(t0 + 9300, 10_000)).toBe(false);
    expect(belief.state).toBe("LOST");
  });

  it("never ends earlier because of an answer: an older or a shorter one changes nothing", async () => {
    const { clock, belief, t0 } = start();
    await clock.advance(1000);
    belief.confirm(t0 + 1000, 10_000);
    expect(belief.confirm(t0, 10_000)).toBe(false);
    expect(belief.confirm(t0 + 1000, 3000)).toBe(false);
    expect(belief.confirm(t0 + 1000, 10_000)).toBe(false);
    expect(belief.deadlineMs).toBe(t0 + 10_400);
    expect(belief.riskAtMs).toBe(t0 + 6000);
    expect(belief.validUntilMs).toBe(t0 + 11_000);
  });

  it("remembers until when the lease lives, also from an answer that came too late to believe in", async () => {
    const { clock, belief, t0 } = start();
    await clock.advance(9800);
    expect(belief.confirm(t0, 10_000)).toBe(false);
    expect(belief.validUntilMs).toBe(t0 + 10_000);
  });

  it("ends with a release or a loss, whichever comes first, and stays so", async () => {
    const released = start();
    released.belief.confirm(released.t0, 10_000);
    released.belief.end("RELEASED");
    released.belief.end("LOST");
    await released.clock.advance(20_000);
    expect([released.belief.state, released.belief.isHeld]).toEqual(["RELEASED", false]);
    expect(released.belief.confirm(released.clock.monotonicMs(), 10_000)).toBe(false);

    const lost = start();
    lost.belief.confirm(lost.t0, 10_000);
    await lost.clock.advance(9400);
    lost.belief.end("RELEASED");
    expect(lost.belief.state).toBe("LOST");
  });
});
