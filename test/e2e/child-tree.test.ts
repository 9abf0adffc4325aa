import { statSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hostNow } from "../../cmd/stormlock/hold/host-time.js";
import { deathOf, HoldBench, pause, until, type HoldRun } from "../support/hold-bench.js";

const LATE_MS = 400;

let bench: HoldBench;
beforeAll(async () => {
  bench = await HoldBench.open();
});
afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

async function pids(run: HoldRun, count: number): Promise<number[]> {
  return await until(`${run.name} has ${String(count)} processes`, () => {
    const found = run.output.map(Number).filter(Number.isInteger);
    return found.length >= count && found;
  });
}

const DEAF = "trap '' TERM HUP; echo $$ >> $OUT; while :; do sleep 0.05; done";

// A command goes on when so many have told that they are there, and deaf.
const whenThereAre = (count: number): string =>
  `until test "$(wc -l <$OUT)" -ge ${String(count)}; do sleep 0.02; done`;

// When a command wrote its last line, by the clock of the driver's notes: whoever watches a process
// from here may be late.
function writtenMs(run: HoldRun): number {
  return statSync(bench.path(run.name)).mtimeMs - Date.now() + hostNow().hrMs;
}

// Each process starts the next one within a fraction of a ms, and ends. So it goes on for seconds.
const HOPPER = `
use POSIX; $SIG{TERM} = $SIG{HUP} = "IGNORE"; my $ends = time + 6;
open(my $out, ">>", $ENV{OUT});
while (time < $ends) { POSIX::_exit(0) if fork; POSIX::setsid; syswrite($out, "x\\n"); }`;

describe.concurrent("no descendant outlives the deadline", () => {
  const escapes: [string, string[], number][] = [
    ["one that ignores every request", ["sh", "-c", DEAF], 1],
    ["a grandchild whose parent is gone", ["sh", "-c", `(sh -c "${DEAF}" &); ${DEAF}`], 2],
    ["one in a session of its own", ["sh", "-c", `(setsid sh -c "${DEAF}" &); ${DEAF}`], 2],
    [
      "one without its environment, in the session of the command",
      ["sh", "-c", `(env -i OUT=$OUT PATH=$PATH sh -c "${DEAF}" &); ${DEAF}`],
      2,
    ],
    [
      "one without its environment, in a session of its own, whose parent lives",
      ["sh", "-c", `env -i OUT=$OUT PATH=$PATH setsid sh -c "${DEAF}" & ${DEAF}`],
      2,
    ],
    [
      "a thread that goes on after the main one",
      [
        "python3",
        "-c",
        "import threading,time,os,signal,ctypes\n" +
          "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" +
          "open(os.environ['OUT'],'a').write(f'{os.getpid()}\\n')\n" +
          "threading.Thread(target=lambda: time.sleep(600)).start()\n" +
          "ctypes.CDLL(None).pthread_exit(None)",
      ],
      1,
    ],
  ];
  test.each(escapes)("%s", async (name, command, count) => {
    const run = bench.start(name.replaceAll(/\W+/g, "-"), { keepForMs: 400 }, command);
    const members = await pids(run, count);
    // They may be sooner than the wrapper is told that it has started them.
    await run.note("started");
    run.wrapper.kill("SIGSTOP");
    const died = Math.max(...(await Promise.all(members.map((pid) => deathOf(pid)))));
    expect(died).toBeLessThan(run.lastDeadlineMs + LATE_MS);
    run.wrapper.kill("SIGCONT");
    expect(await run.exit).toBe(76);
    expect(run.marked()).toEqual([]);
  });

  test("however fast they start others", async () => {
    // Each of three hops to the next process every few ms; none of them ever has a living parent.
    const hop = 'trap "" TERM; echo x >> $OUT; sleep 0.01; (setsid sh -c "$HOP" &)';
    const run = bench.start("hopping", { keepForMs: 400 }, [
      "env",
      `HOP=${hop}`,
      "sh",
      "-c",
      'for i in 1 2 3; do (setsid sh -c "$HOP" &); done; sleep 600',
    ]);
    await run.note("started");
    await until("its lock is lost", () => {
      const deadlineMs = run.lastDeadlineMs;
      return hostNow().hrMs > deadlineMs + LATE_MS;
    });
    const before = run.output.length;
    expect(before).toBeGreaterThan(20);
    expect(await run.exit).toBe(76);
    await pause(200);
    expect(run.output).toHaveLength(before);
    expect(run.marked()).toEqual([]);
  });

  test("nor any of fifty, and it takes no time", async () => {
    const run = bench.start("fifty", { ttlMs: 20_000, graceMs: 0 }, [
      "sh",
      "-c",
      'for i in $(seq 49); do (trap "" TERM; echo x >> $OUT; exec sleep 600) & done; wait',
    ]);
    await until("all run", () => run.marked().length === 50);
    const members = run.marked();
    const killedMs = hostNow().hrMs;
    run.wrapper.kill("SIGKILL");
    const died = Math.max(...(await Promise.all(members.map((pid) => deathOf(pid)))));
    expect(died - killedMs).toBeLessThan(LATE_MS);
  });
});

describe.concurrent("what a command leaves behind", () => {
  test("is asked to end, then killed, before the command counts as ended", async () => {
    const run = bench.start("left", {}, [
      "sh",
      "-c",
      `: >$OUT; (setsid sleep 600 &); (setsid sh -c "${DEAF}" &); ${whenThereAre(1)}; exit 5`,
    ]);
    const [pid = 0] = await pids(run, 1);
    await deathOf(pid);
    expect(await run.exit).toBe(5);
    expect((await run.note("left-behind")).count).toBeGreaterThanOrEqual(2);
    expect(run.marked()).toEqual([]);
  });

  test("takes the grace at most, and the lock is kept all that time", async () => {
    const run = bench.start("left-long", { ttlMs: 1200, graceMs: 400 }, [
      "sh",
      "-c",
      `: >$OUT; (setsid sh -c "${DEAF}" &); ${whenThereAre(1)}; echo over >>$OUT; exit 5`,
    ]);
    const ended = await run.note("ended");
    const exitedMs = writtenMs(run);
    expect(ended.cut).toBeUndefined();
    expect(ended.atMs - exitedMs).toBeGreaterThan(300);
    expect(ended.atMs - exitedMs).toBeLessThan(400 + LATE_MS);
    // It is told of when it is true that they have been ended.
    expect((await run.note("left-behind")).atMs).toBeGreaterThan(exitedMs + 300);
    expect(await run.exit).toBe(5);
  });
});

// Alone: the less is done beside it, the likelier is a look to miss it.
test("what a command leaves behind is found though each starts the next one and ends at once", async () => {
  for (let count = 1; count <= 10; count++) {
    const run = bench.start(`left-hopping-${String(count)}`, { ttlMs: 20_000, graceMs: 60 }, [
      "sh",
      "-c",
      `perl -e '${HOPPER}' >/dev/null 2>&1 & until test -s $OUT; do sleep 0.01; done`,
    ]);
    expect(await run.exit).toBe(0);
    const before = run.output.length;
    await pause(50);
    expect(run.output).toHaveLength(before);
    expect(run.marked()).toEqual([]);
  }
});

describe.concurrent("a hold inside a hold", () => {
  test("goes with the outer one, whose deadline is sooner", async () => {
    const inner = bench.words("inner", { ttlMs: 20_000, graceMs: 6000 }, [
      "sh",
      "-c",
      `(setsid sh -c "${DEAF}" &); ${DEAF}`,
    ]);
    const run = bench.start("outer", { keepForMs: 400 }, inner);
    const members = await pids(run, 2);
    const died = Math.max(...(await Promise.all(members.map((pid) => deathOf(pid)))));
    expect(died).toBeLessThan(run.lastDeadlineMs + LATE_MS);
    expect(await run.exit).toBe(76);
    expect(run.marked()).toEqual([]);
  });

  test("ends alone when it is the one that is lost", async () => {
    const inner = bench.words("inner-alone", { keepForMs: 100 }, ["sleep", "600"]);
    const run = bench.start("outer-alone", { ttlMs: 20_000 }, [
      "sh",
      "-c",
      '"$@"; echo "inner: $?" >> $OUT; sleep 0.5; exit 3',
      "sh",
      ...inner,
    ]);
    expect(await run.exit).toBe(3);
    expect(run.output).toEqual(["inner: 76"]);
  });
});

describe.concurrent("those that are no descendants", () => {
  test("live on: the caller's script and its pipeline mates", async () => {
    const words = bench.words("mates", { keepForMs: 300 }, ["sh", "-c", DEAF]);
    const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    const script = bench.start("mates-script", { ttlMs: 20_000 }, [
      "sh",
      "-c",
      // In one process group with the inner wrapper, as in any script.
      `sleep 600 & mate=$!; ${quoted}; echo "code $?" >> $OUT; kill -0 $mate && echo alive >> $OUT; kill $mate`,
    ]);
    expect(await script.exit).toBe(0);
    expect(script.output.slice(-2)).toEqual(["code 76", "alive"]);
  });
});
