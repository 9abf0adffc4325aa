import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hostNow } from "../../cmd/stormlock/hold/host-time.js";
import {
  deathOf,
  HoldBench,
  isGuardian,
  pause,
  until,
  type HoldRun,
} from "../support/hold-bench.js";

// Whoever outlives his deadline runs beside the next holder. The holder's deadline keeps 100 ms
// and more in hand for that; this is what a busy machine may take to run the test itself, too.
const LATE_MS = 400;
const EARLY_MS = 60;

// Says that it was asked to end and does not care, nor does its child; their pids come first.
const STUBBORN = [
  "sh",
  "-c",
  'trap "echo asked >> $OUT" TERM; echo $$ >> $OUT; (trap "" TERM; exec sleep 600) & ' +
    "echo $! >> $OUT; while :; do wait; done",
];
const OBEDIENT = ["sh", "-c", "echo $$ >> $OUT; exec sleep 600"];

let bench: HoldBench;
beforeAll(async () => {
  bench = await HoldBench.open();
});
afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

/** The process ids that the command wrote, as soon as they are there. */
async function pids(run: HoldRun, count: number): Promise<number[]> {
  return await until(`${run.name} has ${String(count)} processes`, () => {
    const found = run.output.map(Number).filter(Number.isInteger);
    return found.length >= count && found;
  });
}

/** When the last of them died. */
async function deaths(of: readonly number[]): Promise<number> {
  return Math.max(...(await Promise.all(of.map((pid) => deathOf(pid)))));
}

describe.concurrent("a command whose lock is no longer kept is dead by the deadline", () => {
  const faults: [string, object, ((run: HoldRun) => void)?][] = [
    ["though nothing else fails", { keepForMs: 500 }],
    ["when its wrapper is stopped", {}, (run) => run.wrapper.kill("SIGSTOP")],
    ["when its wrapper's event loop blocks", { blockAtMs: 600 }],
  ];
  test.each(faults)("%s", async (name, options, fault) => {
    const run = bench.start(name.replaceAll(/\W+/g, "-"), options, STUBBORN);
    const members = await pids(run, 2);
    await pause(700);
    fault?.(run);
    const died = await deaths(members);
    const deadlineMs = run.lastDeadlineMs;
    expect(died).toBeLessThan(deadlineMs + LATE_MS);
    expect(died).toBeGreaterThan(deadlineMs - EARLY_MS);
    expect(run.output).toContain("asked");
    run.wrapper.kill("SIGCONT");
    expect(await run.exit).toBe(76);
    expect(run.marked()).toEqual([]);
  });

  test("and is asked to end a grace before", async () => {
    const run = bench.start("asked", { keepForMs: 300 }, OBEDIENT);
    const died = await deaths(await pids(run, 1));
    expect(died).toBeLessThan(run.lastDeadlineMs - 500 + LATE_MS);
    expect(died).toBeGreaterThan(run.lastDeadlineMs - 500 - EARLY_MS);
    expect(await run.exit).toBe(76);
  });

  test("also when it has been stopped itself", async () => {
    const run = bench.start("stopped", { keepForMs: 300 }, OBEDIENT);
    const [pid = 0] = await pids(run, 1);
    process.kill(pid, "SIGSTOP");
    expect(await deaths([pid])).toBeLessThan(run.lastDeadlineMs - 500 + LATE_MS);
    expect(await run.exit).toBe(76);
  });

  test("and has only the grace left when the lock is lost before", async () => {
    const run = bench.start("lost", { ttlMs: 20_000, loseAtMs: 300 }, STUBBORN);
    const died = await deaths(await pids(run, 2));
    const lost = await run.note("lost");
    expect(died).toBeLessThan(lost.atMs + 500 + LATE_MS);
    expect(died).toBeGreaterThan(lost.atMs + 500 - EARLY_MS);
    expect(run.output.filter((line) => line === "asked")).toHaveLength(1);
    expect(await run.exit).toBe(76);
  });

  test("though it exits 0 when it is asked: the exit code says that the lock was lost", async () => {
    const run = bench.start("polite", { keepForMs: 300 }, [
      "sh",
      "-c",
      'trap "exit 0" TERM; while :; do sleep 0.02; done',
    ]);
    expect(await run.exit).toBe(76);
  });
});

describe.concurrent("a wrapper that is killed", () => {
  test("takes its command along: asked at once, killed after the grace", async () => {
    const run = bench.start("killed", { ttlMs: 20_000 }, STUBBORN);
    const members = await pids(run, 2);
    const killedMs = hostNow().hrMs;
    run.wrapper.kill("SIGKILL");
    const died = await deaths(members);
    expect(died).toBeLessThan(killedMs + 500 + LATE_MS);
    expect(died).toBeGreaterThan(killedMs + 500 - EARLY_MS);
    expect(run.output).toContain("asked");
    const { guardianPid = 0 } = await run.note("begun");
    await until("the guardian has left", () => !isGuardian(guardianPid));
  });

  test("takes it along by the deadline, if that comes before the grace", async () => {
    const options = { ttlMs: 3000, graceMs: 1000, keepForMs: 0 };
    const run = bench.start("killed-late", options, STUBBORN);
    const members = await pids(run, 2);
    const { deadlineMs = 0 } = await run.note("started");
    await until("the command is about to be asked", () => hostNow().hrMs > deadlineMs - 1050);
    run.wrapper.kill("SIGKILL");
    const died = await deaths(members);
    expect(died).toBeLessThan(deadlineMs + LATE_MS);
    expect(died).toBeGreaterThan(deadlineMs - EARLY_MS);
  });

  test("takes it along even when it had no time to tell the guardian of it", async () => {
    const run = bench.start("untold", { ttlMs: 20_000, diesAfterSpawn: true }, [
      "sh",
      "-c",
      "trap '' TERM; echo $$ >> $OUT; while :; do sleep 0.1; done",
    ]);
    expect(await run.exit).toBe("SIGKILL");
    const killedMs = hostNow().hrMs;
    await pids(run, 1);
    await until("nothing is left", () => run.marked().length === 0);
    expect(hostNow().hrMs).toBeLessThan(killedMs + 500 + LATE_MS);
    const { guardianPid = 0 } = await run.note("begun");
    await until("the guardian has left", () => !isGuardian(guardianPid));
  });

  test("before it has run anything leaves no guardian", async () => {
    const run = bench.start("early", {}, OBEDIENT);
    const { guardianPid = 0 } = await run.note("begun");
    run.wrapper.kill("SIGKILL");
    await until("the guardian has left", () => !isGuardian(guardianPid));
    await until("nothing is left", () => run.marked().length === 0);
  });
});

describe.concurrent("a guardian", () => {
  test("harms no stranger, even one that comes to its own parent when the wrapper dies", async () => {
    // At once, before the guardian has begun to work: it finds its orders, and nobody at home.
    const run = bench.start("stranger", { graceMs: 100 }, OBEDIENT);
    const { guardianPid = 0 } = await run.note("begun");
    process.kill(guardianPid, "SIGSTOP");
    await pause(200);
    run.wrapper.kill("SIGKILL");
    process.kill(guardianPid, "SIGCONT");
    const orphans: number[] = [];
    for (let look = 0; look < 100 && isGuardian(guardianPid); look++) {
      const shell = spawnSync("sh", ["-c", "sleep 60 >/dev/null 2>&1 & echo $!"], {
        encoding: "utf8",
      });
      orphans.push(Number(shell.stdout));
      await pause(40);
    }
    expect(isGuardian(guardianPid)).toBe(false);
    expect(orphans.length).toBeGreaterThan(10);
    for (const pid of orphans) expect(process.kill(pid, "SIGKILL")).toBe(true);
  });

  test("that is killed is replaced, and the next one does its work", async () => {
    const run = bench.start("replaced", {}, STUBBORN);
    const members = await pids(run, 2);
    const { guardianPid: first = 0 } = await run.note("begun");
    process.kill(first, "SIGKILL");
    const second = await until("there is another", () =>
      run.notes.find(({ guardianPid = first }) => guardianPid !== first),
    );
    await until("it runs", () => isGuardian(second.guardianPid ?? 0));
    await pause(500);
    run.wrapper.kill("SIGSTOP");
    expect(await deaths(members)).toBeLessThan(run.lastDeadlineMs + LATE_MS);
    run.wrapper.kill("SIGCONT");
    expect(await run.exit).toBe(76);
  });

  test("that is killed when the command has been asked to end leaves the rest to the next one", async () => {
    const run = bench.start("asked-twice", { ttlMs: 6000, graceMs: 2500, loseAtMs: 300 }, STUBBORN);
    const members = await pids(run, 2);
    const { guardianPid: first = 0 } = await run.note("begun");
    const lost = await run.note("lost");
    process.kill(first, "SIGKILL");
    await until("there is another", () =>
      run.notes.find(({ guardianPid = first }) => guardianPid !== first),
    );
    run.wrapper.kill("SIGSTOP");
    const died = await deaths(members);
    expect(died).toBeGreaterThan(lost.atMs + 2500 - EARLY_MS);
    expect(died).toBeLessThan(lost.atMs + 2500 + 1000 + LATE_MS); // Long before the deadline.
    run.wrapper.kill("SIGCONT");
    expect(await run.exit).toBe(76);
  });

  test("that finds that it is time to end, before the command has begun, has none to end", async () => {
    const run = bench.start("never-begun", { endsAtOnce: true }, OBEDIENT);
    expect(await run.exit).toBe(76);
    expect(run.output).toEqual([]);
  });

  test("that is stopped is replaced as well", async () => {
    const run = bench.start("silent", {}, OBEDIENT);
    await pids(run, 1);
    const { guardianPid: first = 0 } = await run.note("begun");
    process.kill(first, "SIGSTOP");
    await until("it is gone", () => !isGuardian(first));
    expect(run.marked()).toHaveLength(1);
    run.wrapper.kill("SIGTERM");
    expect(await run.exit).toBe("SIGTERM");
  });

  test("that is stopped does not keep the wrapper from ending the command in time", async () => {
    const run = bench.start("no-help", { keepForMs: 500 }, STUBBORN);
    const members = await pids(run, 2);
    const { guardianPid = 0 } = await run.note("begun");
    process.kill(guardianPid, "SIGSTOP");
    expect(await deaths(members)).toBeLessThan(run.lastDeadlineMs + LATE_MS);
    expect(run.output).toContain("asked");
    expect(await run.exit).toBe(76);
  });

  test("that cannot be kept alive means the end of the command", async () => {
    const run = bench.start("unguarded", { ttlMs: 600, graceMs: 50 }, OBEDIENT);
    await pids(run, 1);
    const killing = setInterval(() => {
      const pid = run.notes.findLast((note) => note.guardianPid !== undefined)?.guardianPid ?? 0;
      if (isGuardian(pid)) process.kill(pid, "SIGKILL");
    }, 5);
    const exit = await Promise.race([run.exit, pause(30_000)]);
    clearInterval(killing);
    expect(exit).toBe(70);
    expect(run.marked()).toEqual([]);
  });

  test("is deaf to what is sent to everybody", async () => {
    const run = bench.start("deaf", {}, OBEDIENT);
    await pids(run, 1);
    const { guardianPid = 0 } = await run.note("begun");
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1"] as const) {
      process.kill(guardianPid, signal);
    }
    await pause(300);
    expect(isGuardian(guardianPid)).toBe(true);
    run.wrapper.kill("SIGKILL");
    await until("nothing is left", () => run.marked().length === 0);
  });

  test("kills a command that starts when it is too late", async () => {
    const run = bench.start("late", { stopsBeforeSpawn: true, ttlMs: 1000, graceMs: 200 }, [
      "sh",
      "-c",
      // It stops its wrapper again, which would end it as well.
      "kill -STOP $PPID; sleep 0.05; echo done >> $OUT; sleep 600",
    ]);
    await run.note("begun");
    await pause(2000);
    run.wrapper.kill("SIGCONT");
    await pause(300);
    expect(run.marked()).toEqual([]);
    run.wrapper.kill("SIGCONT");
    expect(await run.exit).toBe(76);
    expect(run.output).toEqual([]);
  });
});
