import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { endingOf, ExitCode } from "../../cmd/stormlock/exit-code.js";
import { UsageError } from "../../cmd/stormlock/usage-error.js";
import { VERSION } from "../../cmd/stormlock/version.js";
import { ConfigError, UnusableConfigError } from "../../src/config/errors.js";
import { LockError, type ErrorKind } from "../../src/lock/errors.js";

describe("the exit code", () => {
  it.each<[ErrorKind, number]>([
    ["lock-held", 2],
    ["lease-lost", 3],
    ["invalid-field", 64],
    ["not-allowed", 77],
    ["unreachable", 69],
    ["unavailable", 69],
    ["overloaded", 69],
    ["timed-out", 69],
    ["cancelled", 69],
    ["internal", 70],
  ])("of a LockError %s is %i", (kind, code) => {
    expect(endingOf(new LockError(kind, "because")).code).toBe(code);
    // 1 is a plain no, and an error is none.
    expect(code).not.toBe(ExitCode.NO);
  });

  it("tells a mistake on the command line from one in the configuration", () => {
    const complaint = { key: "ttl", found: "x", expected: "y" };
    expect(endingOf(new UsageError("no")).code).toBe(64);
    expect(endingOf(new ConfigError([{ ...complaint, isUsage: true }])).code).toBe(64);
    expect(endingOf(new ConfigError([complaint])).code).toBe(78);
    expect(endingOf(new UnusableConfigError("no such type")).code).toBe(78);
  });

  it("of anything else is 70, in one line", () => {
    const ending = endingOf(new TypeError("first\n   second"));
    expect(ending).toMatchObject({ code: 70, message: "internal error: first second" });
    expect(endingOf("text")).toMatchObject({ code: 70, message: "internal error: text" });
  });
});

describe("the version", () => {
  it("is that of the package", () => {
    const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
    expect(VERSION).toBe((JSON.parse(text) as { version: string }).version);
  });
});
