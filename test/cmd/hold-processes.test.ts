import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { noneBegan } from "../../cmd/stormlock/hold/newcomers.js";
import { ProcessGroup } from "../../cmd/stormlock/hold/process-group.js";
import {
  isAlive,
  parseStat,
  ProcessTable,
  type ProcessStat,
} from "../../cmd/stormlock/hold/process-table.js";
import { ProcessTree } from "../../cmd/stormlock/hold/process-tree.js";

// pid (comm) state ppid pgrp session tty … num_threads itrealvalue starttime vsize … env_end exit_code
function statLine(pid: number, more: Partial<Record<string, string | number>> = {}): string {
  const f = { name: "sh", state: "S", parent: 1, group: pid, session: pid, threads: 1, start: 100 };
  const all = { ...f, memory: 4096, environmentEnds: 7, ...more };
  const { name, state, parent, group, session, threads, start, memory, environmentEnds } = all;
  const rest = `${String(memory)}${" 0".repeat(27)} ${String(environmentEnds)} 0`;
  return `${String(pid)} (${name}) ${state} ${String(parent)} ${String(group)} ${String(session)} 34816 -1 0 0 0 0 0 0 0 0 0 20 0 ${String(threads)} 0 ${String(start)} ${rest}`;
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
      hasMemory: true,
      isBetweenPrograms: false,
    });
  });

  test("is nothing when it is something else", () => {
    expect(parseStat("")).toBeUndefined();
    expect(parseStat("42 (sh) S 1")).toBeUndefined();
  });

  test("tells whether it is in the midst of exec; what has no memory runs no program", () => {
    expect(parseStat(statLine(42, { environmentEnds: 0 }))?.isBetweenPrograms).toBe(true);
    expect(parseStat(statLine(42, { environmentEnds: 0, memory: 0 }))?.isBetweenPrograms).toBe(
      false,
    );
    expect(parseStat(readFileSync("/proc/self/stat", "latin1"))?.isBetweenPrograms).toBe(false);
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
  /** What was sent, as "SIGNAL to PID". Nobody got it: these processes are made up. */
  let sent: string[];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "stormlock-proc-"));
    sent = [];
    vi.spyOn(process, "kill").mockImplementation((pid, signal) => {
      if (signal === 0) throw Object.assign(new Error("nobody"), { code: "ESRCH" });
      sent.push(`${String(signal)} to ${String(pid)}`);
      return true;
    });
  });
  afterEach(() => {
    vi.restoreAllMocks();
    rmSync(folder, { recursive: true, force: true });
  });

  function add(pid: number, more: Partial<Record<string, string | number>>, environ = ""): void {
    mkdirSync(join(folder, String(pid)), { recursive: true });
    writeFileSync(join(folder, String(pid), "stat"), statLine(pid, more));
    writeFileSync(join(folder, String(pid), "environ"), environ);
  }

  function remove(pid: number): void {
    rmSync(join(folder, String(pid)), { recursive: true });
  }

  /** The number that was given last. */
  function setLastPid(pid: number): void {
    mkdirSync(join(folder, "sys/kernel"), { recursive: true });
    writeFileSync(join(folder, "sys/kernel/ns_last_pid"), `${String(pid)}\n`);
  }

  function tree(leadsSession = false, table = new ProcessTable(folder)): ProcessTree {
    const spared = [{ pid: 2, startTicks: 100 }];
    return new ProcessTree({ table, marker: "abc", leadsSession, spared });
  }

  const MARKED = "STORMLOCK_HOLD=abc\0";

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
    remove(11);
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

  test("is not gone while one starts the next after the table was listed, and ends before its turn", () => {
    let last = 10;
    class Hopping extends ProcessTable {
      isHopping = true;
      override pids(): number[] {
        const pids = super.pids();
        if (this.isHopping) {
          remove(last);
          add(++last, {}, MARKED);
          setLastPid(last);
        }
        return pids;
      }
    }
    add(last, {}, MARKED);
    setLastPid(last);
    const table = new Hopping(folder);
    const one = tree(false, table);
    expect(one.count()).not.toBe(0);
    expect(one.kill()).not.toBe(0);
    expect(sent).toContain(`SIGKILL to ${String(last)}`);
    table.isHopping = false;
    remove(last);
    expect(one.count()).toBe(0);
  });

  test("is not gone when what was asked about cannot be read", () => {
    add(10, {}, MARKED);
    rmSync(join(folder, "10", "stat"));
    mkdirSync(join(folder, "10", "stat")); // It can be opened, and not be read.
    const one = tree();
    expect(one.count()).toBeUndefined();
    expect(one.kill()).toBeUndefined();
    remove(10);
    expect(one.count()).toBe(0);
  });

  test("is not gone when the table cannot be listed, and what is known of it is killed even so", () => {
    const one = tree(true);
    add(10, {});
    one.setRoot({ pid: 10, startTicks: 100 });
    expect(one.count()).toBe(1);
    vi.spyOn(ProcessTable.prototype, "stat").mockImplementation(() => {
      throw Object.assign(new Error("too many open files"), { code: "EMFILE" });
    });
    rmSync(folder, { recursive: true });
    expect(one.count()).toBeUndefined();
    one.terminate();
    expect(one.kill()).toBeUndefined();
    expect(sent).toEqual(["SIGKILL to -10", "SIGKILL to 10"]);
  });

  test("is not gone while somebody is between two programs, who may be one of them", () => {
    add(10, { environmentEnds: 0 });
    const one = tree();
    expect(one.count()).toBeUndefined();
    add(10, {}, MARKED);
    expect(one.count()).toBe(1);
    add(10, {});
    add(11, { environmentEnds: 0, memory: 0 }); // The kernel's own.
    one.count();
    remove(10);
    expect(one.count()).toBe(0);
  });

  test("is gone when each of them has been seen in a program, if never all at one time", () => {
    setLastPid(20);
    add(10, { environmentEnds: 0 });
    const one = tree();
    expect(one.count()).toBeUndefined();
    add(10, {});
    add(21, { environmentEnds: 0 });
    setLastPid(21);
    expect(one.count()).toBeUndefined();
    add(10, { environmentEnds: 0 }); // Of this one all is known.
    add(21, {});
    expect(one.count()).toBe(0);
    add(21, {}, MARKED);
    expect(one.count()).toBe(1);
  });

  test("has a process whose main thread has ended and taken its environment along", () => {
    add(10, { state: "Z", threads: 2, memory: 0 });
    for (const thread of ["10", "11"]) {
      mkdirSync(join(folder, "10/task", thread), { recursive: true });
      writeFileSync(join(folder, "10/task", thread, "environ"), thread === "11" ? MARKED : "");
    }
    expect(tree().count()).toBe(1);
  });

  test("does not spare a later process with the number of the wrapper", () => {
    add(2, { start: 999 }, MARKED);
    expect(tree().count()).toBe(1);
  });

  test("is killed by its group first, then those that are known, then the latest", () => {
    add(10, {});
    add(20, {}, MARKED);
    const one = tree(true);
    one.setRoot({ pid: 10, startTicks: 100 });
    one.count();
    for (const pid of [5, 30, 4000, 40]) add(pid, {}, MARKED);
    setLastPid(30); // 40 and 4000 are from before the numbers began anew.
    one.kill();
    const last = [30, 20, 10, 5, 4000, 40].map((pid) => `SIGKILL to ${String(pid)}`);
    expect(sent).toEqual(["SIGKILL to -10", "SIGKILL to 10", "SIGKILL to 20", ...last]);
  });

  test("is not killed by a group whose number is a stranger's by now", () => {
    const one = tree(true);
    one.setRoot({ pid: 10, startTicks: 100 });
    add(10, { start: 999 });
    one.kill();
    expect(sent).toEqual([]);
  });

  test("is killed by its group though the command itself is gone", () => {
    const one = tree(true);
    one.setRoot({ pid: 10, startTicks: 100 });
    add(11, { group: 10, session: 10 });
    expect(one.count()).toBe(1);
    one.kill();
    expect(sent[0]).toBe("SIGKILL to -10");
  });

  test("does not ask a stranger who has got a number while the others were looked for", () => {
    class Late extends ProcessTable {
      looks = 0;
      override stat(pid: number): ProcessStat | undefined {
        if (pid === 11 && ++this.looks > 1) add(11, { start: 999 });
        return super.stat(pid);
      }
    }
    add(10, {}, MARKED);
    add(11, {}, MARKED);
    tree(false, new Late(folder)).terminate();
    expect(sent).toEqual(["SIGTERM to 10"]);
  });
});

describe("none of those that began is ours", () => {
  /** What is said when the last number goes on like this; and who was looked at. */
  function look(since: number | undefined, lasts: (number | undefined)[], ours: number[] = []) {
    const seen: number[] = [];
    const none = noneBegan(
      since,
      () => lasts.shift(),
      (pid) => {
        seen.push(pid);
        return ours.includes(pid);
      },
    );
    return { none, seen };
  }

  test("when nothing began", () => {
    expect(look(100, [100])).toEqual({ none: true, seen: [] });
  });

  test("when none is and nothing began meanwhile; each is looked at in two rounds if it did", () => {
    expect(look(100, [102, 102])).toEqual({ none: true, seen: [102, 101] });
    expect(look(100, [102, 103, 103])).toEqual({ none: true, seen: [102, 101, 103, 102, 101] });
    expect(look(100, [101, 102, 103, 103]).seen).toEqual([101, 102, 101, 103, 102]);
  });

  test("is not said when one is, however long ago it was seen", () => {
    expect(look(100, [101, 102, 103, 103], [101]).none).toBe(false);
    expect(look(100, [101, 102, 103, 103], [103]).none).toBe(false);
  });

  test("is not said when the numbers have begun anew, or nobody can follow them", () => {
    expect(look(32_000, [301]).none).toBe(false);
    expect(look(32_000, [32_001, 301]).none).toBe(false);
    expect(look(100, [4_000_000]).none).toBe(false);
    const endless = Array.from({ length: 1000 }, (_, at) => 101 + at);
    expect(look(100, endless).none).toBe(false);
    expect(look(100, [undefined]).none).toBe(false);
  });

  test("where the last number is not told: then there is nothing to go by", () => {
    expect(look(undefined, [])).toEqual({ none: true, seen: [] });
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
