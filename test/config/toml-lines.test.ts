import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";
import { scanLines } from "../../src/config/toml-lines.js";

describe("the line of a key is found", () => {
  test("in sections with bare, quoted and dotted names", () => {
    const lineOf = scanLines(
      [
        "top = 1", //                       1
        "[default]", //                     2
        'ttl = "60s"  # c = 1', //          3
        '["deploy/*"]', //                  4
        "  ttl = 1", //                     5
        "[ backend . 'a.b' ]", //           6
        '"host" = "x"', //                  7
        "tls.ca = 1", //                    8
      ].join("\n"),
    );
    expect(lineOf(["top"])).toBe(1);
    expect(lineOf(["default"])).toBe(2);
    expect(lineOf(["default", "ttl"])).toBe(3);
    expect(lineOf(["default", "c"])).toBe(2);
    expect(lineOf(["deploy/*", "ttl"])).toBe(5);
    expect(lineOf(["backend", "a.b"])).toBe(6);
    expect(lineOf(["backend", "a.b", "host"])).toBe(7);
    expect(lineOf(["backend", "a.b", "tls"])).toBe(8);
    expect(lineOf(["backend", "a.b", "tls", "ca"])).toBe(8);
    expect(lineOf(["nowhere"])).toBeUndefined();
  });

  test("past values that look like keys and headers, or go on over many lines", () => {
    const lineOf = scanLines(
      [
        "[a]", //                1
        'x = """', //            2
        "[b]", //                3
        "y = 1", //              4
        'quote \\""" ""', //     5
        '"""', //                6
        "z = '''", //            7
        "[c]'''", //             8
        "list = [", //           9
        '  "a]", # ]', //       10
        "  [1, 2],", //         11
        "]", //                 12
        'inline = { q = "}", r = [1] }', // 13
        "last = 1", //          14
      ].join("\r\n"),
    );
    expect(lineOf(["b"])).toBeUndefined();
    expect(lineOf(["c"])).toBeUndefined();
    expect(lineOf(["a", "z"])).toBe(7);
    expect(lineOf(["a", "list"])).toBe(9);
    expect(lineOf(["a", "inline", "q"])).toBe(13);
    expect(lineOf(["a", "last"])).toBe(14);
  });

  test("after a text that ends in quotes of its own, and names with escapes", () => {
    const lineOf = scanLines(
      'a = """x"""""\nb = \'\'\'y\'\'\'\'\n"k\\u00e9\\"y" = 1\n[x."\\t"]\nz = 1',
    );
    expect(lineOf(["b"])).toBe(2);
    expect(lineOf(['ké"y'])).toBe(3);
    expect(lineOf(["x", "\t", "z"])).toBe(5);
  });

  test("of a section that comes after its own subsections", () => {
    const lineOf = scanLines("[a.b]\nx = 1\n[a]\ny = 1");
    expect(lineOf(["a"])).toBe(3);
    expect(lineOf(["a", "b"])).toBe(1);
  });
});

test("every key of 300 random files is found where it was written", () => {
  let seed = 99;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * below);
  };
  const pick = <T>(items: readonly T[]): T => items[random(items.length)] as T;
  const names = ["a", "b-1", "deploy/*", 'q"x', "é", "a.b", "]", "#"];
  const values = [
    "1",
    '"x = 1"',
    "'[a]'",
    '"""\n[a]\nb = 2\n"""',
    "'''\n'''",
    "[\n1,\n# ]\n2\n]",
    '{ a = "}" }',
    "true",
    '"\\""',
    "1979-05-27T07:32:00Z",
  ];
  const written = (name: string): string =>
    /^[\w-]+$/u.test(name) && random(2) === 0 ? name : JSON.stringify(name);
  for (let round = 0; round < 300; round++) {
    const lines: string[] = [];
    const expected: [path: string[], line: number][] = [];
    for (const section of names.filter(() => random(2) === 0)) {
      if (random(2) === 0) lines.push(pick(["", "# [x]", "  # y = 1"]));
      lines.push(`[${written(section)}]${pick(["", " # c"])}`);
      expected.push([[section], lines.length]);
      for (const key of names.filter(() => random(3) === 0)) {
        const indent = pick(["", "  "]);
        expected.push([[section, key], lines.length + 1]);
        lines.push(
          ...`${indent}${written(key)} = ${pick(values)}${pick(["", " # z"])}`.split("\n"),
        );
      }
    }
    const text = lines.join("\n");
    const root = parse(text);
    const lineOf = scanLines(text);
    for (const [path, line] of expected) expect([path, lineOf(path)]).toEqual([path, line]);
    // Whatever the parser sees, we have seen as well.
    expect(Object.keys(root)).toHaveLength(expected.filter(([path]) => path.length === 1).length);
  }
});
