import { describe, expect, it } from "vitest";
import { Admission } from "../../src/rpc/admission.js";
import { BusyClock } from "../support/busy-clock.js";

function start() {
  const clock = new BusyClock();
  const begun: string[] = [];
  const refused: string[] = [];
  const told: string[] = [];
  const gone = new Set<string>();
  const admission = new Admission({
    clock,
    onChange: (isOverloaded, count) =>
      told.push(isOverloaded ? "overloaded" : `over: ${String(count)}`),
  });
  const enter = (name: string, costMs = 1): { readonly isCrowded: boolean } =>
    admission.enter({
      begin: () => {
        begun.push(name);
        clock.work(costMs);
      },
      refuse: () => refused.push(name),
      isGone: () => gone.has(name),
    });
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return { clock, admission, begun, refused, told, gone, enter, turn };
}

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, at) => `${prefix}${String(at)}`);
}

/** Somebody has stood in line for two seconds, and the next one has found out. */
function overload() {
  const kit = start();
  for (const name of names("first", 40)) kit.enter(name);
  kit.clock.work(2000);
  kit.enter("straw");
  return kit;
}

describe("acquires before the service", () => {
  it("are begun at once while there is time", () => {
    const { enter, begun, admission } = start();
    for (const name of names("a", 3)) enter(name);
    expect(begun).toEqual(names("a", 3));
    expect(admission.waiting).toBe(0);
  });

  it("are begun over several turns, in the order in which they came, when many come at once", async () => {
    const { enter, begun, refused, turn } = start();
    for (const name of names("a", 10)) enter(name);
    expect(begun).toEqual(names("a", 4));
    await turn();
    expect(begun).toEqual(names("a", 8));
    enter("last");
    await turn();
    expect(begun).toEqual([...names("a", 10), "last"]);
    expect(refused).toEqual([]);
  });

  it("find a whole turn before them after a pause", async () => {
    const { enter, begun, clock, turn } = start();
    for (const name of names("a", 4)) enter(name);
    await turn();
    clock.work(10_000);
    for (const name of names("b", 4)) enter(name);
    expect(begun).toEqual([...names("a", 4), ...names("b", 4)]);
  });

  it("are not begun for those who have gone", async () => {
    const { enter, begun, gone, turn } = start();
    for (const name of names("a", 8)) enter(name);
    gone.add("a5");
    await turn();
    expect(begun).toEqual(names("a", 8).filter((name) => name !== "a5"));
  });

  it("are better held back while those in line wait for long", async () => {
    const { enter, clock, turn } = start();
    expect(names("a", 8).map((name) => enter(name).isCrowded)).not.toContain(true);
    clock.work(50);
    expect(enter("late").isCrowded).toBe(true);
    for (let turns = 0; turns < 3; turns++) await turn();
    expect(enter("after").isCrowded).toBe(false);
  });

  it("are all begun of a burst that is over within two seconds, however many they are", async () => {
    const { enter, begun, refused, told, turn } = start();
    const all = names("a", 5000);
    for (const name of all) enter(name, 0.36);
    for (let turns = 0; turns < 500; turns++) await turn();
    expect(begun).toEqual(all);
    expect(refused).toEqual([]);
    expect(told).toEqual([]);
  });
});

describe("under overload", () => {
  it("those who come are refused at once, and told of once", () => {
    const { enter, refused, told } = overload();
    for (const name of names("late", 5)) enter(name);
    expect(refused).toEqual(["straw", ...names("late", 5)]);
    expect(told).toEqual(["overloaded"]);
  });

  it("those whose time in line has gone stale are refused when their turn comes", async () => {
    const { begun, refused, turn } = overload();
    await turn();
    expect(begun).toEqual(names("first", 4));
    expect(refused).toEqual(["straw", ...names("first", 40).slice(4)]);
  });

  it("those who come are let in again while the line is short, and refused when it is not", async () => {
    const { enter, begun, refused, clock, turn } = overload();
    await turn();
    for (const name of names("next", 6)) enter(name);
    clock.work(49);
    enter("short");
    clock.work(1);
    enter("long");
    expect(refused.at(-1)).toBe("long");
    await turn();
    await turn();
    expect(begun.slice(-7)).toEqual([...names("next", 6), "short"]);
  });

  it("for every two who are refused one is begun, so that there are answers beside refusals", async () => {
    const { enter, begun, clock, turn } = overload();
    await turn();
    for (const name of names("next", 100)) enter(name);
    clock.work(50);
    const before = begun.length;
    for (const name of names("late", 80)) enter(name);
    await turn();
    expect(begun.length - before).toBe(40);
  });

  it("a line of five thousand is the longest, however fast it grew", () => {
    const { enter, refused, told } = start();
    for (const name of names("a", 5010)) enter(name);
    expect(refused).toEqual(names("a", 5010).slice(-6));
    expect(told).toEqual(["overloaded"]);
  });

  it("ends when nobody has been refused for two seconds, and a burst is a burst again", async () => {
    const { enter, begun, refused, told, clock, turn } = overload();
    await turn();
    clock.work(2000);
    enter("after");
    expect(told).toEqual(["overloaded", "over: 37"]);
    for (const name of names("burst", 20)) enter(name);
    clock.work(1900);
    enter("last");
    for (let turns = 0; turns < 10; turns++) await turn();
    expect(begun.at(-1)).toBe("last");
    expect(refused).toHaveLength(37);
  });
});
