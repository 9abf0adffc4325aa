// Our reader against the one that the older tool used: Python's own.

import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { interpolate, readIni } from "../../src/config/ini.js";
import { isCi } from "../support/ci.js";

const SEED = 20_240_607;
const FILES = 200;

const PYTHON = String.raw`
import configparser, json, sys
answers = []
for text in json.load(sys.stdin):
    cfg = configparser.ConfigParser()
    try:
        cfg.read_string(text)
    except configparser.ParsingError as e:
        answers.append({"lines": [line for line, _ in e.errors]} if getattr(e, "errors", None) else {"fatal": e.lineno})
        continue
    except configparser.Error as e:
        answers.append({"fatal": e.lineno})
        continue
    sections = {}
    for name in cfg.sections():
        keys = {}
        for key in cfg.options(name):
            raw = cfg.get(name, key, raw=True)
            try:
                keys[key] = [raw, cfg.get(name, key)]
            except configparser.InterpolationError:
                keys[key] = [raw, None]
        sections[name] = keys
    answers.append({"sections": sections})
json.dump(answers, sys.stdout)
`;

interface Answer {
  readonly sections?: Record<string, Record<string, [raw: string, value: string | null]>>;
  readonly lines?: number[];
  readonly fatal?: number;
}

function randomFiles(): string[] {
  let seed = SEED;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * below);
  };
  const pick = <T>(items: readonly T[]): T => items[random(items.length)] as T;
  const keys = ["ttl", "TTL", "Backend", "url", "a b", "host", "x.y", "port"];
  const words = [
    "1 days",
    "a=b",
    "c:d",
    "# no",
    "; no",
    "%%",
    "%(host)s",
    "%(Url)s",
    "50%",
    "é🔒",
    "[x]",
    '"q"',
    "",
    "%(",
  ];
  const value = (): string =>
    Array.from({ length: random(3) }, () => pick(words)).join(pick([" ", ""]));
  const line = (): string => {
    switch (random(14)) {
      case 0:
      case 1:
        return `${pick(["", "", " "])}[${pick(["default", "DEFAULT", "backend.main", "deploy/*", "x]y", " s ", String(random(40))])}]${pick(["", "", " ", " # tail", "x = y"])}`;
      case 2:
        return pick(["", "   ", "\t"]);
      case 3:
        return `${pick(["", "  "])}${pick(["#", ";"])} comment = ${value()}`;
      case 4:
      case 5:
        return `${pick([" ", "\t", "    "])}${value()}`;
      case 6:
        return random(4) === 0 ? pick(["word", "= value", ": v", "[]", "[", "word word"]) : "";
      default: {
        const key = pick([...keys, `k${String(random(1000))}`, `k${String(random(1000))}`]);
        return `${pick(["", "", "", " ", "   "])}${key}${pick(["=", " = ", ": ", " : ", ":"])}${value()}${pick(["", " "])}`;
      }
    }
  };
  return Array.from({ length: FILES }, () => {
    const lines = Array.from({ length: 1 + random(14) }, line);
    if (random(10) > 0) lines.unshift("[first]");
    return lines.join(pick(["\n", "\n", "\r\n"])) + pick(["", "\n"]);
  });
}

function ours(text: string): Record<string, Record<string, [string, string | null]>> {
  const { defaults, sections } = readIni(text);
  return Object.fromEntries(
    sections.map(({ name, entries }) => {
      const together = new Map([...defaults, ...entries]);
      const raw = new Map(Array.from(together, ([key, entry]) => [key, entry.value]));
      const pairs = Array.from(raw, ([key, written]): [string, [string, string | null]] => {
        const result = interpolate(written, raw);
        return [key, [written, result.kind === "text" ? result.text : null]];
      });
      return [name, Object.fromEntries(pairs)];
    }),
  );
}

const hasPython = isCi || spawnSync("python3", ["-c", "import configparser"]).status === 0;

describe.skipIf(!hasPython)("against Python's ConfigParser (skipped without python3)", () => {
  test(`${String(FILES)} random files are read alike, or refused alike`, () => {
    const files = randomFiles();
    const { stdout, stderr, status } = spawnSync("python3", ["-c", PYTHON], {
      input: JSON.stringify(files),
      encoding: "utf8",
      maxBuffer: 2 ** 26,
    });
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const answers = JSON.parse(stdout) as Answer[];
    expect(answers).toHaveLength(FILES);
    let read = 0;
    let refused = 0;
    for (const [index, answer] of answers.entries()) {
      const text = files[index] ?? "";
      const hint = `seed ${String(SEED)}, file ${String(index)}:\n${text}`;
      const faultLines = readIni(text).faults.map(({ line }) => line);
      if (answer.sections !== undefined) {
        read++;
        expect(faultLines, hint).toEqual([]);
        expect(ours(text), hint).toEqual(answer.sections);
      } else if (answer.lines !== undefined) {
        refused++;
        expect(faultLines, hint).toEqual(answer.lines);
      } else {
        // Python stops there; we go on and name what else there is.
        refused++;
        expect(faultLines, hint).toContain(answer.fatal);
      }
    }
    // A generator of nothing but rubbish, or of nothing but good files, would prove little.
    expect(read).toBeGreaterThan(40);
    expect(refused).toBeGreaterThan(40);
  });
});
