import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isCi } from "../support/ci.js";
import { HoldBench, pause, until } from "../support/hold-bench.js";

let bench: HoldBench;
beforeAll(async () => {
  bench = await HoldBench.open();
  writeFileSync(bench.path("plain"), "not a program\n");
  writeFileSync(bench.path("no-first-line"), 'echo "by the shell" >> $OUT; exit 9\n');
  writeFileSync(bench.path("lost-interpreter"), "#!/no/such/interpreter\n");
  chmodSync(bench.path("no-first-line"), 0o755);
  chmodSync(bench.path("lost-interpreter"), 0o755);
  mkdirSync(join(bench.folder, "folder"));
});
afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

describe.concurrent("the wrapper ends as its command ends", () => {
  const ends: [string, number | NodeJS.Signals][] = [
    ["exit 0", 0],
    ["exit 7", 7],
    ["exit 255", 255],
    ["kill -KILL $$", 128 + constants.signals.SIGKILL],
    ["kill -PIPE $$", 128 + constants.signals.SIGPIPE],
    ["kill -SEGV $$", 128 + constants.signals.SIGSEGV],
    ["kill -USR1 $$", 128 + constants.signals.SIGUSR1],
    ["kill -INT $$", "SIGINT"],
    ["kill -QUIT $$", "SIGQUIT"],
    ["kill -TERM $$", "SIGTERM"],
    ["kill -HUP $$", "SIGHUP"],
  ];
  test.each(ends)("%s", async (script, end) => {
    const name = script.replaceAll(/\W+/g, "-");
    const run = bench.start(name, {}, ["sh", "-c", `ulimit -c 0; ${script}`]);
    expect(await run.exit).toBe(end);
    expect(run.stderr).toBe("");
  });
});

describe.concurrent("a command that cannot be run", () => {
  test("is not found: 127", async () => {
    const run = bench.start("missing", {}, ["no-such-command", "x"]);
    expect(await run.exit).toBe(127);
    expect(run.stderr).toBe("stormlock: no-such-command: command not found\n");
  });

  test.each(["", "/no/such/file"])("is not found: 127 (%j)", async (command) => {
    const run = bench.start(`missing-${String(command.length)}`, {}, [command]);
    expect(await run.exit).toBe(127);
  });

  test("has no execute bit: 126", async () => {
    const run = bench.start("plain-run", {}, [bench.path("plain")]);
    expect(await run.exit).toBe(126);
    expect(run.stderr).toContain("permission denied");
  });

  test("is a folder: 126", async () => {
    const run = bench.start("folder-run", {}, [join(bench.folder, "folder")]);
    expect(await run.exit).toBe(126);
  });

  test("has an interpreter that does not exist: 127", async () => {
    const run = bench.start("interpreter", {}, [bench.path("lost-interpreter")]);
    expect(await run.exit).toBe(127);
  });

  test("is none of these when it is a script without a first line: the shell runs it", async () => {
    const run = bench.start("no-shebang", {}, [bench.path("no-first-line")]);
    expect(await run.exit).toBe(9);
    expect(run.output).toEqual(["by the shell"]);
  });
});

describe.concurrent("without a terminal", () => {
  const HEARS =
    'for s in INT QUIT TERM HUP USR1 USR2 ALRM; do trap "echo $s >> $OUT" $s; done; ' +
    "echo ready >> $OUT; while :; do sleep 0.02; done";

  test("every signal reaches the command, once", async () => {
    const run = bench.start("hears", {}, ["bash", "-c", HEARS]);
    await until("it listens", () => run.output.includes("ready"));
    const signals = ["INT", "QUIT", "TERM", "HUP", "USR1", "USR2", "ALRM"];
    for (const signal of signals) {
      run.wrapper.kill(`SIG${signal}` as NodeJS.Signals);
      await until(`it hears ${signal}`, () => run.output.includes(signal));
    }
    await pause(100);
    expect(run.output).toEqual(["ready", ...signals]);
    run.wrapper.kill("SIGKILL");
    await until("nothing is left", () => run.marked().length === 0);
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const)(
    "the wrapper dies by %s together with its command",
    async (signal) => {
      const run = bench.start(`dies-by-${signal}`, {}, [
        "sh",
        "-c",
        "ulimit -c 0; echo ready >> $OUT; exec sleep 600",
      ]);
      await until("it runs", () => run.output.includes("ready"));
      await pause(50);
      run.wrapper.kill(signal);
      expect(await run.exit).toBe(signal);
      expect(run.marked()).toEqual([]);
    },
  );

  test("the command has a session and a process group of its own", async () => {
    const run = bench.start("session", {}, ["sh", "-c", "ps -o pid=,pgid=,sid= -p $$ >> $OUT"]);
    expect(await run.exit).toBe(0);
    const [pid, group, session] = (run.output[0] ?? "").trim().split(/ +/);
    expect([group, session]).toEqual([pid, pid]);
  });
});

// A pid namespace of one's own is what a container has; it takes root to make one.
const NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc"];
// In CI it must.
const canNest = isCi || spawnSync("unshare", [...NAMESPACE.slice(1), "true"]).status === 0;

describe.skipIf(!canNest)("as process 1 of a container", { concurrent: true }, () => {
  async function inside(
    name: string,
    options: object,
    script: string,
  ): Promise<{ exit: number | NodeJS.Signals; stderr: string }> {
    const words = bench.words(name, options, ["sh", "-c", script]);
    const run = bench.start(`${name}-outside`, {}, [...NAMESPACE, ...words]);
    return { exit: await run.exit, stderr: run.stderr };
  }

  test("it says once that strangers are not reaped, and ends with the command's code", async () => {
    const { exit, stderr } = await inside("init", {}, "sleep 0.5; exit 5");
    expect(exit).toBe(5);
    expect(stderr.match(/stormlock: running as process 1/g)).toHaveLength(1);
  });

  test("a signal that cannot end it is told by its exit code", async () => {
    const { exit } = await inside("init-signal", {}, "kill -TERM $$");
    expect(exit).toBe(143);
  });

  test("a lost lock ends the command, orphans too", async () => {
    const orphan = "(setsid sh -c 'trap \"\" TERM; while :; do sleep 0.05; done' &)";
    const { exit } = await inside("init-lost", { keepForMs: 200 }, `${orphan}; sleep 600`);
    expect(exit).toBe(76);
  });
});

describe.concurrent("the command's environment", () => {
  const PRINT = [
    "sh",
    "-c",
    'printf "%s|" "$STORMLOCK_RESOURCE" "$STORMLOCK_FENCING_TOKEN" "$STORMLOCK_PRINCIPAL" "$STORMLOCK_LEASE_ID" "$HOME"',
  ];

  test("tells the lock, and is the wrapper's otherwise", async () => {
    const run = bench.start("environment", {}, PRINT);
    expect(await run.exit).toBe(0);
    expect(run.stdout).toBe(`deploy/prod|7|ann@ci-7|0123|${process.env["HOME"] ?? ""}|`);
  });

  test("has a line per resource with several", async () => {
    const leases = [
      { resource: "a", token: 1 },
      { resource: "b", token: 22 },
    ];
    const run = bench.start("several", { leases }, PRINT);
    expect(await run.exit).toBe(0);
    expect(run.stdout).toMatch(/^a\nb\|1\n22\|ann@ci-7\nann@ci-7\|0123\n0123\|/);
  });
});
