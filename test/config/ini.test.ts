import { describe, expect, test } from "vitest";
import { interpolate, readIni } from "../../src/config/ini.js";

function values(text: string): Record<string, Record<string, string>> {
  const { sections, faults } = readIni(text);
  expect(faults).toEqual([]);
  return Object.fromEntries(
    sections.map(({ name, entries }) => [
      name,
      Object.fromEntries(Array.from(entries.values(), ({ key, value }) => [key, value])),
    ]),
  );
}

function faults(text: string): string[] {
  return readIni(text).faults.map(
    ({ line, section, found, expected }) =>
      `${String(line)} [${section}] found ${found}; expected ${expected}`,
  );
}

describe("the older tool's form", () => {
  test("has keys with = and with :, whatever comes first", () => {
    expect(values("[a]\nx=1\ny : 2\nz = a:b\nw: a=b\nu =\n")).toEqual({
      a: { x: "1", y: "2", z: "a:b", w: "a=b", u: "" },
    });
  });

  test("has sections with dots, slashes, spaces and brackets in their names", () => {
    const text = "[backend.main]\nx=1\n[deploy/prod]\nx=2\n[ a b ]\nx=3\n[a]b]\nx=4\n";
    expect(Object.keys(values(text))).toEqual(["backend.main", "deploy/prod", " a b ", "a]b"]);
  });

  test("keeps # and ; inside values and drops lines that begin with them", () => {
    expect(
      values("# one\n[a]\n; two\nx = 1 # not a comment\n  # one, though indented\ny = a;b\n"),
    ).toEqual({
      a: { x: "1 # not a comment", y: "a;b" },
    });
  });

  test("goes on with a value on indented lines, blank ones between them included", () => {
    expect(values("[a]\nx = 1\n  2\n\n\t3\n\ny = 4\n")).toEqual({ a: { x: "1\n2\n\n3", y: "4" } });
  });

  test("goes on only where a line is indented deeper than its key", () => {
    expect(values("[a]\n  x = 1\n  y = 2\n    3\n z = 4\n")).toEqual({
      a: { x: "1", y: "2\n3", z: "4" },
    });
  });

  test("has keys in any case, and values as they are", () => {
    expect(values("[a]\nTTL = 1 Days\n")).toEqual({ a: { ttl: "1 Days" } });
  });

  test("may have any line ends, and a byte order mark", () => {
    expect(values("\uFEFF[a]\r\nx = 1\r\ny = 2\rz = 3\n")).toEqual({
      a: { x: "1", y: "2", z: "3" },
    });
  });

  test("tells the line of every key and section", () => {
    const { sections } = readIni("# c\n[a]\n\nx = 1\n 2\n[b]\ny = 1");
    expect(sections.map(({ name, line }) => [name, line])).toEqual([
      ["a", 2],
      ["b", 6],
    ]);
    expect(sections[0]?.entries.get("x")?.line).toBe(4);
    expect(sections[1]?.entries.get("y")?.line).toBe(7);
  });
});

describe("a mistake is named with its line", () => {
  test("a key given twice", () => {
    expect(faults("[a]\nttl = 1\nTTL = 2\n")).toEqual([
      "3 [a] found ttl a second time; expected one ttl, as on line 2",
    ]);
  });

  test("a section given twice, whose keys are no duplicates then", () => {
    expect(faults("[a]\nx = 1\n[a]\nx = 2\n")).toEqual([
      "3 [a] found section [a] a second time; expected one section of that name, as on line 1",
    ]);
  });

  test("text before the first section, once", () => {
    expect(faults("x = 1\ny = 2\n[a]\nz = 3\n")).toEqual([
      "1 [] found text before any section; expected a section first, such as [default]",
    ]);
  });

  test("a line that is nothing, and a key without a name; all of them, not only the first", () => {
    const form = "expected [section], key = value or key: value";
    expect(faults("[a]\nhello\n= 1\nx = 1\nhello again\n")).toEqual([
      `2 [a] found neither a section nor a key with a value; ${form}`,
      `3 [a] found neither a section nor a key with a value; ${form}`,
      `5 [a] found neither a section nor a key with a value; ${form}`,
    ]);
  });
});

describe("interpolation", () => {
  const keys = new Map([
    ["host", "db.example.com"],
    ["url", "redis://%(host)s"],
    ["circle", "%(circle)s"],
    ["half", "50%"],
    ["bomb", "%(bomb)s%(bomb)s"],
  ]);

  test.each([
    ["plain", "plain"],
    ["100%%", "100%"],
    ["%%(host)s", "%(host)s"],
    ["%(host)s:1", "db.example.com:1"],
    ["%(HOST)s", "db.example.com"],
    ["%(url)s/0", "redis://db.example.com/0"],
  ])("%s becomes %s", (value, text) => {
    expect(interpolate(value, keys)).toMatchObject({ kind: "text", text });
  });

  test("tells which keys were used", () => {
    expect(interpolate("%(url)s", keys)).toMatchObject({ uses: ["url", "host"] });
  });

  test.each([
    ["%(nobody)s", "%(nobody)s", "a key nobody in the same section or in [DEFAULT]"],
    ["50%", "a % that stands alone", "%% for a percent sign, or %(key)s"],
    ["%(half)s", "a % that stands alone", "%% for a percent sign, or %(key)s"],
    ["%(host)", "a % that stands alone", "%% for a percent sign, or %(key)s"],
    ["%s", "a % that stands alone", "%% for a percent sign, or %(key)s"],
    ["%(circle)s", "values that refer to each other", "no circle"],
    ["%(bomb)s", "values that refer to each other", "no circle"],
  ])("%s is refused", (value, found, expected) => {
    expect(interpolate(value, keys)).toEqual({ kind: "bad", found, expected });
  });

  test("goes through ten values that refer to others, and not through eleven", () => {
    const chain = (length: number): Map<string, string> =>
      new Map(
        Array.from({ length: length + 1 }, (_, index) => [
          `k${String(index)}`,
          index === length ? "end" : `%(k${String(index + 1)})s`,
        ]),
      );
    expect(interpolate("%(k1)s", chain(10))).toMatchObject({ kind: "text", text: "end" });
    expect(interpolate("%(k1)s", chain(11))).toMatchObject({ kind: "bad" });
  });

  test("ends soon, however the values refer to each other", () => {
    const wide = new Map(
      Array.from({ length: 8 }, (_, level) => [
        `k${String(level)}`,
        level === 7 ? "x%%" : `%(k${String(level + 1)})s`.repeat(20),
      ]),
    );
    const startedMs = performance.now();
    expect(interpolate("%(k0)s", wide)).toMatchObject({
      kind: "bad",
      found: "values that refer to too many others",
    });
    expect(performance.now() - startedMs).toBeLessThan(1000);
  });
});
