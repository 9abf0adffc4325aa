import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ProcessGroup } from "../../cmd/stormlock/hold/process-group.js";
import { isAlive, parseStat, ProcessTable } from "../../cmd/stormlock/hold/process-table.js";
import { ProcessTree } from "../../cmd/stormlock/hold/process-tree.js";

// pid (comm) state ppid pgrp session tty … num_threads itrealvalue starttime …
function statLine(pid: number, more: Partial<Record<string, string | number>> = {}): string {
  const f = { name: "sh", state: "S", parent: 1, group: pid, session: pid, threads: 1, start: 100 };
  const { name, state, parent, group, session, threads, start } = { ...f, ...more };
  return `${String(pid)} (${name}) ${state} ${String(parent)} ${String(group)} ${String(session)} 34816 -1 0 0 0 0 0 0 0 0 0 20 0 ${String(threads)} 0 ${String(start)} 0 0`;
}

describe("what /proc tells of a process", () => {
  test("is read whatever its name is", () => {
    const stat = parseStat(statLine(42, { name: "a) R 7 (b", parent: 9, start: 1234 }));
    expect(stat).toEqual({
      pid: 42,
      state: "S",
      parentPid: 9,
      group: 42,
      session: 42,
      terminal: 34816,
      threads: 1,
      startTicks: 1234,
    });
  });

  test("is nothing when it is something else", () => {
    expect(parseStat("")).toBeUndefined();
    expect(parseStat("42 (sh) S 1")).toBeUndefined();
  });

  test("a zombie is dead, but for one whose other threads go on", () => {
    const alive = (more: Partial<Record<string, string | number>>): boolean | undefined => {
      const stat = parseStat(statLine(42, more));
      return stat && isAlive(stat);
    };
    expect(alive({ state: "Z" })).toBe(false);
    expect(alive({ state: "X" })).toBe(false);
    expect(alive({ state: "Z", threads: 3 })).toBe(true);
    expect(alive({ state: "T" })).toBe(true);
    expect(alive({ state: "D" })).toBe(true);
  });
});

describe("a tree of processes", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "stormlock-proc-"));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  function add(pid: number, more: Partial<Record<string, string | number>>, environ = ""): void {
    mkdirSync(join(folder, String(pid)), { recursive: true });
    writeFileSync(join(folder, String(pid), "stat"), statLine(pid, more));
    writeFileSync(join(folder, String(pid), "environ"), environ);
  }

  function tree(leadsSession = false): ProcessTree {
    const table = new ProcessTable(folder);
    return new ProcessTree({ table, marker: "abc", leadsSession, spared: [2] });
  }

  test("has those that carry its marker, alone or among others, in the right variable", () => {
    add(10, {}, "A=1\0STORMLOCK_HOLD=abc\0B=2\0");
    add(11, {}, "STORMLOCK_HOLD=outer:abc\0");
    add(12, {}, `LONG=${"x".repeat(100_000)}\0STORMLOCK_HOLD=abc`);
    add(13, {}, "STORMLOCK_HOLD=abcd\0");
    add(14, {}, "NOT_STORMLOCK_HOLD=abc\0");
    add(15, {}, "X=STORMLOCK_HOLD=abc\0");
    add(16, { state: "Z" }, "STORMLOCK_HOLD=abc\0");
    expect(tree().count()).toBe(3);
  });

  test("has the command and all that descends from it, and never the wrapper", () => {
    const one = tree();
    add(2, {}, "STORMLOCK_HOLD=abc\0");
    add(10, { parent: 2 });
    add(11, { parent: 10 });
    add(12, { parent: 11 });
    add(13, { parent: 2 });
    expect(one.count()).toBe(0);
    one.setRoot({ pid: 10, startTicks: 100 });
    expect(one.count()).toBe(3);
  });

  test("does not take a stranger for the command that had its pid", () => {
    const one = tree(true);
    add(10, { start: 999 });
    add(11, { parent: 10, session: 10, start: 1000 });
    one.setRoot({ pid: 10, startTicks: 100 });
    add(12, { session: 10, start: 50 });
    expect(one.count()).toBeLessThanOrEqual(1); // 11 looks like one of the command's session.
    rmSync(join(folder, "11"), { recursive: true });
    expect(one.count()).toBe(0);
    add(13, { session: 10, start: 2000 });
    expect(one.count()).toBe(0); // Nobody was left in the session: it tells nothing any more.
  });

  test("keeps whom it has seen, whatever becomes of his parent", () => {
    const one = tree();
    add(10, {});
    add(11, { parent: 10 });
    one.setRoot({ pid: 10, startTicks: 100 });
    expect(one.count()).toBe(2);
    rmSync(join(folder, "10"), { recursive: true });
    add(11, { parent: 1 });
    expect(one.count()).toBe(1);
  });

  test("has everybody in the command's session, if it leads one", () => {
    const one = tree(true);
    add(10, {});
    add(11, { session: 10, start: 120 });
    add(12, { session: 9 });
    one.setRoot({ pid: 10, startTicks: 100 });
    expect(one.count()).toBe(2);
  });
});

test("without a process table the group can be ended, and nothing else is touched", async () => {
  expect(new ProcessTable("/nowhere").exists).toBe(false);
  const leader = spawn("sh", ["-c", "sleep 600 & wait"], { detached: true, stdio: "ignore" });
  const stranger = spawn("sleep", ["600"], { detached: true, stdio: "ignore" });
  const ended = new Promise((resolve) =>
    leader.once("exit", (_, signal) => {
      resolve(signal);
    }),
  );
  const group = new ProcessGroup(true);
  expect(group.kill()).toBe(0);
  group.setRoot({ pid: leader.pid ?? 0, startTicks: 0 });
  expect(group.count()).toBe(1);
  group.kill();
  expect(await ended).toBe("SIGKILL");
  for (let look = 0; look < 100 && group.count() > 0; look++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(group.count()).toBe(0);
  expect(stranger.exitCode).toBeNull();
  expect(stranger.kill()).toBe(true);
});
