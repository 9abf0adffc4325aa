import { describe, expect, test } from "vitest";
import { LockError } from "../../src/lock/errors.js";
import {
  checkLabels,
  checkLeaseId,
  checkPrincipal,
  checkReason,
  checkResource,
  checkTtl,
  checkWait,
  LIMITS,
} from "../../src/lock/limits.js";
import { DEFAULT_RULE } from "../../src/lock/policy.js";

function refusal(check: () => unknown): LockError {
  try {
    check();
  } catch (error) {
    if (error instanceof LockError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

function complaint(check: () => unknown): string {
  const error = refusal(check);
  expect(error.kind).toBe("invalid-field");
  expect(error.isDefinite).toBe(true);
  return error.message;
}

describe("a resource", () => {
  test.each([
    "a",
    "deploy/prod",
    "a b",
    "ä",
    "🔒",
    "{}%*?'\"\\",
    "..",
    "a".repeat(200),
    "é".repeat(100),
  ])("may be called %s", (name) => {
    expect(checkResource(name)).toBe(name);
  });

  test.each([
    ["", "resource is empty: give a name of 1 to 200 bytes, e.g. deploy/prod"],
    ["a".repeat(201), `resource "${"a".repeat(40)}…" has 201 bytes; at most 200 are allowed`],
    ["é".repeat(101), `resource "${"é".repeat(40)}…" has 202 bytes; at most 200 are allowed`],
    ["a\u0000b", String.raw`resource "a\u0000b" contains a control character; none is allowed`],
    ["a\nb", String.raw`resource "a\nb" contains a control character; none is allowed`],
    ["a\u007fb", String.raw`resource "a\u007fb" contains a control character; none is allowed`],
    ["a\u009bb", String.raw`resource "a\u009bb" contains a control character; none is allowed`],
    ["a\ud800b", String.raw`resource "a\ud800b" contains a control character; none is allowed`],
    [" a", 'resource " a" begins or ends with a space; remove it'],
    ["a ", 'resource "a " begins or ends with a space; remove it'],
    ["a\u00a0", 'resource "a\u00a0" begins or ends with a space; remove it'],
    ["e\u0301", 'resource "e\u0301" is not in Unicode normalization form C; normalize it first'],
  ])("%j is refused", (name, message) => {
    expect(complaint(() => checkResource(name))).toBe(message);
  });

  test("a complaint is made under the name that the caller knows the field by", () => {
    const error = refusal(() => checkResource("", "prefix"));
    expect(error.field).toBe("prefix");
    expect(error.message).toMatch(/^prefix is empty/u);
  });

  test("a huge name is not repeated in whole, nor cut in the middle of a character", () => {
    const message = complaint(() => checkResource("a" + "🔒".repeat(100_000)));
    expect(message.length).toBeLessThan(200);
    expect(message).not.toMatch(/\p{Cs}/u);
    expect(message).toContain("has 400001 bytes");
  });
});

describe("a lease id", () => {
  test.each(["a", "0123456789abcdef".repeat(2), "~!".repeat(64)])("may be %s", (id) => {
    expect(checkLeaseId(id)).toBe(id);
  });

  test.each([
    ["", "lease_id is empty: give the id that acquire answered"],
    ["a".repeat(129), "lease_id has 129 characters; at most 128 are allowed"],
    ["secret id", "lease_id may have visible ASCII characters only"],
    ["secret\n", "lease_id may have visible ASCII characters only"],
    ["sécret", "lease_id may have visible ASCII characters only"],
  ])("%j is refused, and never repeated: it is a secret", (id, message) => {
    expect(complaint(() => checkLeaseId(id))).toBe(message);
  });
});

describe("a principal and a reason", () => {
  test("may be empty, and have up to 256 bytes", () => {
    expect(checkPrincipal("")).toBe("");
    expect(checkReason("é".repeat(128))).toBe("é".repeat(128));
  });

  test("are refused when longer, or with what would move a terminal", () => {
    expect(complaint(() => checkPrincipal("p".repeat(257)))).toBe(
      `principal "${"p".repeat(40)}…" has 257 bytes; at most 256 are allowed`,
    );
    expect(complaint(() => checkReason("\u001b[2J"))).toBe(
      String.raw`reason "\u001b[2J" contains a control character; none is allowed`,
    );
  });
});

describe("labels", () => {
  const many = (count: number): Record<string, string> =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${String(index)}`, ""]));

  test("up to 32 may be given", () => {
    expect(checkLabels(many(32))).toEqual(many(32));
  });

  test("are refused by count, key and value", () => {
    expect(complaint(() => checkLabels(many(33)))).toBe(
      "labels has 33 entries; at most 32 are allowed",
    );
    expect(complaint(() => checkLabels({ "": "x" }))).toBe(
      "labels has an empty key; give every label a name",
    );
    expect(complaint(() => checkLabels({ ["k".repeat(64)]: "" }))).toBe(
      `labels key "${"k".repeat(40)}…" has 64 bytes; at most 63 are allowed`,
    );
    expect(complaint(() => checkLabels({ build: "v".repeat(257) }))).toBe(
      `labels["build"] "${"v".repeat(40)}…" has 257 bytes; at most 256 are allowed`,
    );
    expect(complaint(() => checkLabels({ build: "a\tb" }))).toBe(
      String.raw`labels["build"] "a\tb" contains a control character; none is allowed`,
    );
  });
});

describe("a ttl", () => {
  const rule = { ...DEFAULT_RULE, ttlMs: 60_000, minTtlMs: 1000, maxTtlMs: 3_600_000 };

  test("is the rule's when none is asked for", () => {
    expect(checkTtl(undefined, rule, 0, "x")).toBe(60_000);
  });

  test.each([1000, 1001, 3_600_000])("of %d ms is within the limits", (ttlMs) => {
    expect(checkTtl(ttlMs, rule, 0, "x")).toBe(ttlMs);
  });

  test("is rounded to whole milliseconds", () => {
    expect(checkTtl(1000.4, rule, 0, "x")).toBe(1000);
  });

  test.each([
    [0, "0s"],
    [-1, "-1ms"],
    [999, "999ms"],
    [3_600_001, "1h1ms"],
    [NaN, "NaNms"],
    [Infinity, "Infinityms"],
    [-Infinity, "-Infinityms"],
  ])("of %d ms is refused with the limits", (ttlMs, written) => {
    const error = refusal(() => checkTtl(ttlMs, rule, 0, "x"));
    expect(error.field).toBe("ttl");
    expect(error.message).toBe(`ttl ${written} is outside the limits for "x": 1s to 1h`);
  });

  test("may not be shorter than what the store can keep", () => {
    expect(complaint(() => checkTtl(1000, rule, 2000, "x"))).toBe(
      'ttl 1s is outside the limits for "x": 2s to 1h',
    );
    expect(checkTtl(2000, rule, 2000, "x")).toBe(2000);
  });

  test("of the rule itself is held to the limits too", () => {
    expect(complaint(() => checkTtl(undefined, { ...rule, maxTtlMs: 30_000 }, 0, "x"))).toBe(
      'ttl 1m is outside the limits for "x": 1s to 30s',
    );
  });
});

describe("a wait", () => {
  test("is taken as it is, and as one without end beyond the longest", () => {
    expect(checkWait(0)).toBe(0);
    expect(checkWait(5000)).toBe(5000);
    expect(checkWait(LIMITS.waitMs)).toBe(LIMITS.waitMs);
    expect(checkWait(LIMITS.waitMs + 1)).toBe(Infinity);
    expect(checkWait(Infinity)).toBe(Infinity);
  });

  test.each([
    [-1, "wait -1ms is not 0 or more; leave it out for no wait"],
    [-Infinity, "wait -Infinityms is not 0 or more; leave it out for no wait"],
    [NaN, "wait NaNms is not 0 or more; leave it out for no wait"],
  ])("of %d ms is refused", (waitMs, message) => {
    expect(complaint(() => checkWait(waitMs))).toBe(message);
  });
});
