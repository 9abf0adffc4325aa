import { describe, expect, test } from "vitest";
import { DEFAULT_RULE, Policy } from "../../src/lock/policy.js";

function chosen(patterns: readonly string[], resource: string): string {
  const sections = patterns.map((pattern) => ({ pattern, rule: { backend: pattern } }));
  return new Policy({ backend: "fallback" }, sections).for(resource).backend;
}

describe("which section applies", () => {
  test("an exact name wins over every pattern, however long", () => {
    expect(chosen(["deploy/prod*******", "deploy/prod"], "deploy/prod")).toBe("deploy/prod");
  });

  test("then the longest pattern, wherever it stands", () => {
    const patterns = ["*", "deploy/*", "deploy/prod-*"];
    expect(chosen(patterns, "deploy/prod-1")).toBe("deploy/prod-*");
    expect(chosen(patterns.toReversed(), "deploy/prod-1")).toBe("deploy/prod-*");
    expect(chosen(patterns, "deploy/test")).toBe("deploy/*");
    expect(chosen(patterns, "other")).toBe("*");
  });

  test("of equally long patterns the one that was written first", () => {
    expect(chosen(["a*", "*b"], "ab")).toBe("a*");
    expect(chosen(["*b", "a*"], "ab")).toBe("*b");
  });

  test("none, and the fallback does", () => {
    expect(chosen(["deploy/*"], "other")).toBe("fallback");
    expect(chosen([], "")).toBe("fallback");
  });

  test("a name that is not a pattern matches nothing but itself", () => {
    expect(chosen(["deploy"], "deploy/prod")).toBe("fallback");
    expect(chosen(["deploy.prod"], "deployxprod")).toBe("fallback");
    expect(chosen(["Deploy"], "deploy")).toBe("fallback");
  });
});

describe("a star", () => {
  test.each([
    ["deploy/*", "deploy/", true],
    ["deploy/*", "deploy/a/b", true],
    ["deploy/*", "deploy", false],
    ["deploy/*", "redeploy/a", false],
    ["*", "", true],
    ["*", "anything\nat all", true],
    ["a*c", "ac", true],
    ["a*c", "abc", true],
    ["a*c", "abcd", false],
    ["a*c", "bac", false],
    ["a*a", "a", false],
    ["a*a", "aa", true],
    ["ab*ba", "aba", false],
    ["ab*ba", "abba", true],
    ["*a*b*", "xaybz", true],
    ["*a*b*", "xbyaz", false],
    ["*ab*ab*", "abab", true],
    ["*ab*ab*", "ab", false],
    ["*aab", "aaab", true],
    ["**", "x", true],
    ["a.*", "a.b", true],
    ["a.*", "axb", false],
    ["(*)", "(x)", true],
    ["[ab]*", "a", false],
    ["$*^", "$1^", true],
    ["schlüssel/*", "schlüssel/ß", true],
    ["*🔒*", "a🔒b", true],
  ])("%s, %j: %s", (pattern, resource, isMatch) => {
    expect(chosen([pattern], resource)).toBe(isMatch ? pattern : "fallback");
  });

  test("is as good as a slow and simple reading of it", () => {
    const slow = (pattern: string, name: string): boolean => {
      if (pattern === "") return name === "";
      if (pattern.startsWith("*")) {
        return slow(pattern.slice(1), name) || (name !== "" && slow(pattern, name.slice(1)));
      }
      return name.startsWith(pattern.slice(0, 1)) && slow(pattern.slice(1), name.slice(1));
    };
    let seed = 7;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return Math.floor((seed / 2 ** 31) * below);
    };
    const text = (letters: string, length: number): string =>
      Array.from({ length }, () => letters[random(letters.length)]).join("");
    for (let round = 0; round < 3000; round++) {
      const pattern = text("ab*", 1 + random(6));
      const name = text("ab", random(9));
      if (!pattern.includes("*")) continue;
      expect([pattern, name, chosen([pattern], name) === pattern]).toEqual([
        pattern,
        name,
        slow(pattern, name),
      ]);
    }
  });

  test("written many times costs nothing", () => {
    const startedMs = performance.now();
    expect(chosen([`${"*a".repeat(60)}*b`], "a".repeat(200))).toBe("fallback");
    expect(performance.now() - startedMs).toBeLessThan(500);
  });
});

describe("what applies", () => {
  test("is the built-in rule where nothing is configured", () => {
    expect(new Policy().for("x")).toEqual(DEFAULT_RULE);
  });

  test("is the section's word, then the fallback's, then the built-in one", () => {
    const policy = new Policy({ ttlMs: 5000, principal: "ann" }, [
      { pattern: "x", rule: { ttlMs: 7000 } },
    ]);
    expect(policy.for("x")).toEqual({ ...DEFAULT_RULE, ttlMs: 7000, principal: "ann" });
    expect(policy.for("y")).toEqual({ ...DEFAULT_RULE, ttlMs: 5000, principal: "ann" });
  });

  test("comes from one section alone: a shorter pattern adds nothing to a longer", () => {
    const policy = new Policy({}, [
      { pattern: "a*", rule: { principal: "ann" } },
      { pattern: "ab*", rule: { ttlMs: 7000 } },
    ]);
    expect(policy.for("abc")).toEqual({ ...DEFAULT_RULE, ttlMs: 7000 });
  });
});
