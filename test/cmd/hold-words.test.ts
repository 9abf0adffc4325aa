import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { wayOut, type CutEnd } from "../../cmd/stormlock/hold/child-end.js";
import { childEnvironment, newMarker } from "../../cmd/stormlock/hold/child-environment.js";
import { LineReader, toLine, type ToGuardian } from "../../cmd/stormlock/hold/guardian-messages.js";
import {
  deadlineOn,
  earlier,
  hostNow,
  later,
  msUntil,
} from "../../cmd/stormlock/hold/host-time.js";
import { signalExitCode } from "../../cmd/stormlock/hold/signals.js";
import { undecodableArgument } from "../../cmd/stormlock/hold/undecodable.js";
import { FakeClock } from "../support/fake-clock.js";

describe("how the wrapper ends", () => {
  const cut = undefined;
  const ends: [CutEnd, number | string][] = [
    [{ kind: "exited", code: 0, cut }, 0],
    [{ kind: "exited", code: 7, cut }, 7],
    [{ kind: "signalled", signal: "SIGINT", cut }, "SIGINT"],
    [{ kind: "signalled", signal: "SIGQUIT", cut }, "SIGQUIT"],
    [{ kind: "signalled", signal: "SIGTERM", cut }, "SIGTERM"],
    [{ kind: "signalled", signal: "SIGHUP", cut }, "SIGHUP"],
    [{ kind: "signalled", signal: "SIGKILL", cut }, 137],
    [{ kind: "signalled", signal: "SIGPIPE", cut }, 141],
    [{ kind: "not-executable", message: "", cut }, 126],
    [{ kind: "not-found", message: "", cut }, 127],
    [{ kind: "not-started", cut: "lost" }, 76],
    [{ kind: "exited", code: 0, cut: "lost" }, 76],
    [{ kind: "exited", code: 7, cut: "lost" }, 76],
    [{ kind: "signalled", signal: "SIGTERM", cut: "lost" }, 76],
    [{ kind: "signalled", signal: "SIGKILL", cut: "lost" }, 76],
    [{ kind: "signalled", signal: "SIGTERM", cut: "unguarded" }, 70],
  ];
  test.each(ends)("%j", (end, way) => {
    expect(wayOut(end)).toBe(way);
  });

  test("a signal while it waits is told as a shell does", () => {
    expect(signalExitCode("SIGINT")).toBe(130);
    expect(signalExitCode("SIGTERM")).toBe(143);
  });
});

describe("the environment of a command", () => {
  const lease = { resource: "a", leaseId: "id-a", principal: "ann", token: 2n ** 60n };

  test("keeps the marker of a hold around it", () => {
    const outer = childEnvironment({ PATH: "/bin" }, [lease], "m1");
    const inner = childEnvironment(outer, [{ ...lease, resource: "b" }], "m2");
    expect(outer).toEqual({
      PATH: "/bin",
      STORMLOCK_HOLD: "m1",
      STORMLOCK_RESOURCE: "a",
      STORMLOCK_FENCING_TOKEN: "1152921504606846976",
      STORMLOCK_PRINCIPAL: "ann",
      STORMLOCK_LEASE_ID: "id-a",
    });
    expect(inner["STORMLOCK_HOLD"]).toBe("m1:m2");
    expect(inner["STORMLOCK_RESOURCE"]).toBe("b");
  });

  test("has a marker of its own for every run", () => {
    expect(newMarker()).toMatch(/^[0-9a-f]{32}$/);
    expect(newMarker()).not.toBe(newMarker());
  });
});

describe("a moment of this host", () => {
  test("has passed as soon as one of its clocks says so", () => {
    const now = { hrMs: 100, uptimeMs: 5000 };
    const moment = later(now, 50);
    expect(msUntil(moment, now)).toBe(50);
    expect(msUntil(moment, { hrMs: 120, uptimeMs: 5051 })).toBe(-1);
    expect(msUntil(moment, { hrMs: 151, uptimeMs: 5020 })).toBe(-1);
    expect(earlier(moment, now)).toEqual(now);
  });

  test("is what a clock's deadline says", () => {
    const clock = new FakeClock();
    const moment = deadlineOn(clock, clock.monotonicMs() + 70_000);
    expect(msUntil(moment)).toBeGreaterThan(69_000);
    expect(msUntil(moment)).toBeLessThanOrEqual(70_000);
  });

  test("is the same moment for another process", () => {
    const code = "const [s, n] = process.hrtime(); console.log(s * 1000 + n / 1e6)";
    const before = hostNow().hrMs;
    const there = Number(execFileSync(process.execPath, ["-e", code], { encoding: "utf8" }));
    expect(there).toBeGreaterThan(before);
    expect(there).toBeLessThan(hostNow().hrMs);
  });
});

describe("an argument that is not UTF-8", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "stormlock-argv-"));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  function found(bytes: Buffer): string | undefined {
    const file = join(folder, "cmdline");
    writeFileSync(file, bytes);
    return undecodableArgument(bytes.toString("utf8").split("\0"), file);
  }

  test("is found, and one that only looks so is not", () => {
    expect(found(Buffer.from("node\0rm\0caf\xe9\0", "latin1"))).toBe("caf\uFFFD");
    expect(found(Buffer.from("node\0rm\0caf\uFFFD\0"))).toBeUndefined();
    expect(found(Buffer.from("node\0rm\0café\0"))).toBeUndefined();
  });
});

test("messages arrive whole, however the link cuts them", () => {
  const messages: ToGuardian[] = [
    { say: "deadline", count: 3, deadline: { hrMs: 1.5, uptimeMs: 2 } },
    { say: "asked" },
    { say: "done" },
  ];
  const reader = new LineReader<ToGuardian>();
  const text = messages.map(toLine).join("");
  expect(Array.from(text).flatMap((letter) => reader.read(letter))).toEqual(messages);
  expect(reader.read(text)).toEqual(messages);
});
