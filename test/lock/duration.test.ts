import { describe, expect, test } from "vitest";
import { formatDuration, parseDuration } from "../../src/lock/duration.js";

describe("a duration is read", () => {
  test.each([
    ["500ms", 500],
    ["30s", 30_000],
    ["5m", 300_000],
    ["2h", 7_200_000],
    ["1d", 86_400_000],
    ["1h30m", 5_400_000],
    ["1d 2h 3m 4s 5ms", 93_784_005],
    ["0s", 0],
    ["007s", 7000],
    ["10000d", 864_000_000_000],
  ])("%s", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });
});

describe("the older tool's durations are read as it read them", () => {
  test.each([
    ["4 seconds", 4000],
    ["30 minutes", 1_800_000],
    ["1 day", 86_400_000],
    ["1 days", 86_400_000],
    ["2   hours", 7_200_000],
    ["3d", 259_200_000],
    ["1 da", 86_400_000],
    ["1 hou", 3_600_000],
    ["1 m", 60_000],
    ["1 mi", 60_000],
    ["1 se", 1000],
    ["0 seconds", 0],
  ])("%s", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  test("a prefix that minutes do not have means milliseconds", () => {
    expect(parseDuration("5 mil")).toBe(5);
    expect(parseDuration("5 milliseconds")).toBe(5);
  });
});

describe("what is no duration is refused", () => {
  test.each([
    ["a bare number, whose unit nobody can tell", "60"],
    ["nothing", ""],
    ["a space", " "],
    ["a unit alone", "s"],
    ["a negative one", "-5s"],
    ["a signed one", "+5s"],
    ["a fraction", "1.5h"],
    ["an exponent", "1e3s"],
    ["NaN", "NaN"],
    ["NaN with a unit", "NaNs"],
    ["Infinity", "Infinity"],
    ["an unknown unit", "3 weeks"],
    ["a word that goes on after the unit", "3 dayss"],
    ["upper case", "30S"],
    ["a number left over", "1h30"],
    ["a unit twice", "1m1m"],
    ["units in the wrong order", "30m1h"],
    ["a leading space", " 30s"],
    ["a trailing space", "30s "],
    ["a trailing newline", "30s\n"],
    ["a tab between", "30\ts"],
    ["a comma", "1h,30m"],
    ["Arabic digits", "٣s"],
    ["fullwidth digits", "３０s"],
    ["a fullwidth unit", "30ｓ"],
    ["a no-break space", "30\u00a0s"],
    ["more than 10 000 days", "10001d"],
    ["more than 10 000 days in sum", "10000d1ms"],
    ["more than a number can count", `${"9".repeat(400)}s`],
  ])("%s", (_why, text) => {
    expect(parseDuration(text)).toBeUndefined();
  });

  test("a long text that almost fits is refused at once", () => {
    const startedMs = performance.now();
    expect(parseDuration(`${"1s".repeat(50_000)}!`)).toBeUndefined();
    expect(parseDuration(`${"1 ".repeat(50_000)}!`)).toBeUndefined();
    expect(parseDuration(`1${" ".repeat(50_000)}!`)).toBeUndefined();
    expect(performance.now() - startedMs).toBeLessThan(1000);
  });
});

describe("a duration is written", () => {
  test.each([
    [0, "0s"],
    [1, "1ms"],
    [1500, "1s500ms"],
    [60_000, "1m"],
    [5_400_000, "1h30m"],
    [86_400_000, "1d"],
    [93_784_005, "1d2h3m4s5ms"],
    [-5000, "-5s"],
    [0.2, "0s"],
    [999.6, "1s"],
    [Infinity, "Infinityms"],
    [NaN, "NaNms"],
  ])("%d as %s", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  test("so that it is read back as what it was", () => {
    let seed = 42;
    for (let round = 0; round < 2000; round++) {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      const ms = seed % 10 ** (1 + (round % 9));
      expect(parseDuration(formatDuration(ms))).toBe(ms);
    }
  });
});
