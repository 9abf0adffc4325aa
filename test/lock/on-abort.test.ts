import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { sleep } from "../../src/lock/clock.js";
import { onAbort } from "../../src/lock/on-abort.js";
import { FakeClock } from "../support/fake-clock.js";

const listenersOf = ({ signal }: AbortController): number =>
  getEventListeners(signal, "abort").length;

describe("those who listen to one signal", () => {
  it("are told once each, in their order, though they are one listener to it", () => {
    const stop = new AbortController();
    const told: number[] = [];
    for (let at = 0; at < 20; at++) onAbort(stop.signal, () => told.push(at));
    expect(listenersOf(stop)).toBe(1);
    stop.abort();
    expect(told).toEqual(Array.from({ length: 20 }, (_, at) => at));
    stop.signal.dispatchEvent(new Event("abort"));
    expect(told).toHaveLength(20);
    expect(listenersOf(stop)).toBe(0);
  });

  it("are not told any more when they have ended it, be it while others are told", () => {
    const stop = new AbortController();
    const told: string[] = [];
    const endFirst = onAbort(stop.signal, () => told.push("first"));
    onAbort(stop.signal, () => {
      told.push("second");
      endThird();
    });
    const endThird = onAbort(stop.signal, () => told.push("third"));
    endFirst();
    endFirst();
    stop.abort();
    expect(told).toEqual(["second"]);
  });

  it("are told of the same function as often as it was given", () => {
    const stop = new AbortController();
    let told = 0;
    const count = (): void => {
      told += 1;
    };
    const end = onAbort(stop.signal, count);
    onAbort(stop.signal, count);
    end();
    stop.abort();
    expect(told).toBe(1);
  });

  it("leave nothing behind at it when they have all gone, and may come again", () => {
    const stop = new AbortController();
    const ends = [0, 1, 2].map(() => onAbort(stop.signal, () => undefined));
    for (const end of ends) end();
    expect(listenersOf(stop)).toBe(0);
    let isTold = false;
    onAbort(stop.signal, () => {
      isTold = true;
    });
    for (const end of ends) end();
    stop.abort();
    expect(isTold).toBe(true);
  });

  it("are many who sleep: Node would take them for a leak, and say so", async () => {
    const clock = new FakeClock();
    const stop = new AbortController();
    const sleeping = Array.from({ length: 20 }, () => sleep(clock, 1000, stop.signal));
    expect(listenersOf(stop)).toBe(1);
    await clock.advance(1000);
    await Promise.all(sleeping);
    expect(listenersOf(stop)).toBe(0);
    const woken = Array.from({ length: 20 }, () => sleep(clock, 1000, stop.signal));
    stop.abort(new Error("enough"));
    for (const each of await Promise.allSettled(woken)) {
      expect(each).toMatchObject({ status: "rejected", reason: { message: "enough" } });
    }
    expect(clock.pending).toBe(0);
  });
});
