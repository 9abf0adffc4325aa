import { describe, expect, it } from "vitest";
import { FAULTS, withoutLease } from "../../trials/faults.js";
import { isFailure, judge, type Record } from "../../trials/judge.js";
import { lifeOf, type Life, type Role } from "../../trials/life.js";

function life(role: Role, firstMs: number, lastMs: number, token: string): Life {
  const name = { trial: "t-1", part: "root", pid: 7, startTicks: 1 };
  return { ...name, role, firstMs, lastMs, token, goneMs: lastMs + 5 };
}

/** Struck at 1000, the first command dead at 2400, the second one's from 3100 on. */
function record(more: Partial<Record> = {}): Record {
  return {
    ...{ trial: "t-1", seed: 1, wrapper: "stormlock", store: "embedded", shape: "plain" },
    ...{ fault: "wrapper-stop", ttlMs: 2000, graceMs: 500, hasTokens: true, struckMs: 1000 },
    ...{ a: { way: 76, atMs: 4000 }, b: { way: 3, atMs: 3500 }, wasStuck: false },
    ...{ wallToHostMs: -1_000_000, said: { a: "", b: "" } },
    lives: [life("a", 100, 2400, "500"), life("b", 3100, 3450, "501")],
    ...more,
  };
}

const verdict = (more: Partial<Record> = {}) => judge(record(more), FAULTS["wrapper-stop"]);

describe("a trial", () => {
  it("in which all went well has the margin between the last death and the next birth", () => {
    expect(verdict()).toEqual({
      ...{ void: undefined, overlapMs: undefined, orphanMs: undefined, marginMs: 700 },
      ...{ wrongCodes: [], tokensGrow: true, wasServed: true },
    });
    expect(isFailure(verdict())).toBe(false);
  });

  it("counts from the grant that a token tells, not from the command that starts later", () => {
    const lives = [life("a", 100, 2400, "500"), life("b", 3100, 3450, "1002900000")];
    expect(verdict({ lives }).marginMs).toBe(500);
    const early = [life("a", 100, 2400, "500"), life("b", 3100, 3450, "1002399000")];
    expect(verdict({ lives: early }).overlapMs).toBe(1);
  });

  it("in which two commands lived at one moment is a failure, though only one descendant did", () => {
    const lives = [...record().lives, life("a", 200, 3150, "500")];
    expect(verdict({ lives }).overlapMs).toBe(50);
    expect(isFailure(verdict({ lives }))).toBe(true);
  });

  it("has an orphan when one lives 1 s after the deadline, or the grace and 1 s after the wrapper", () => {
    const until = (lastMs: number) => ({ lives: [life("a", 100, lastMs, "500")] });
    expect(verdict(until(4000)).orphanMs).toBeUndefined();
    expect(verdict(until(4010)).orphanMs).toBe(10);
    const a = { way: 76, atMs: 1500 } as const;
    expect(verdict({ ...until(3010), a }).orphanMs).toBe(10);
    expect(judge(record({ ...until(9000), a: undefined }), FAULTS["wrapper-hup"]).orphanMs).toBe(
      undefined,
    );
  });

  it("has wrong exit codes when the first wrapper does not tell of its loss, or hangs", () => {
    expect(verdict({ a: { way: 0, atMs: 4000 } }).wrongCodes).toEqual(["first: 0, not 76"]);
    expect(verdict({ b: undefined }).wrongCodes).toEqual(["second: no end, not 3"]);
  });

  it("of a lock without a lease loses nothing while its command lives", () => {
    const lives = [life("a", 100, 9000, ""), life("b", 9010, 9400, "")];
    const a = { way: 0, atMs: 9005 } as const;
    const free = { ...{ lives, a, b: { way: 3, atMs: 9450 } as const }, hasTokens: false };
    expect(isFailure(judge(record(free), FAULTS["wrapper-stop"]))).toBe(true);
    expect(isFailure(judge(record(free), withoutLease(FAULTS["wrapper-stop"])))).toBe(false);
  });

  it("fails when the token does not grow, or nobody gets the lock any more", () => {
    const lives = [life("a", 100, 2400, "501"), life("b", 3100, 3450, "501")];
    expect(isFailure(verdict({ lives }))).toBe(true);
    expect(isFailure(verdict({ lives: [life("a", 100, 2400, "501")] }))).toBe(true);
  });

  it("is none when the machine was too busy to play it; but an overlap is one even then", () => {
    const unplayed = verdict({ struckMs: undefined, a: undefined, b: undefined });
    expect(unplayed.void).toBe("the second wrapper did not come to wait");
    expect(isFailure(unplayed)).toBe(false);
    expect(verdict({ a: { way: 76, atMs: 900 } }).void).toMatch(/before the fault/u);
    const lives = [life("a", 100, 3200, "500"), life("b", 3100, 3450, "501")];
    expect(isFailure(verdict({ lives, struckMs: undefined }))).toBe(true);
  });
});

describe("a life", () => {
  it("is proven by its own stamps and by what /proc has shown, whichever goes further", () => {
    const file = "t-1.a.child.77";
    const seen = { file, pid: 77, startTicks: 99, lastAliveMs: 5000, goneMs: 5005 };
    const text = "12\n1.100000\n4.200000\n";
    expect(lifeOf(file, text, seen, 0)).toEqual({
      ...{ trial: "t-1", role: "a", part: "child", pid: 77, startTicks: 99, token: "12" },
      ...{ firstMs: 1000, lastMs: 5000, goneMs: 5005 },
    });
    expect(lifeOf(file, text, undefined, 0)).toMatchObject({ firstMs: 1100, lastMs: 4200 });
  });

  it("is none of which no stamp was written, or only half of one", () => {
    expect(lifeOf("t-1.a.root.77", "12\n", undefined, 0)).toBeUndefined();
    expect(lifeOf("t-1.a.root.77", "12\n1.1", undefined, 0)).toBeUndefined();
  });
});
