import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hostNow } from "../../cmd/stormlock/hold/host-time.js";
import { deathOf, HoldBench, isGuardian, pause, until, type Note } from "../support/hold-bench.js";
import type { DriverOptions } from "../support/hold-driver.js";
import { hasTmux, Terminal } from "../support/tmux.js";

const hasVim = spawnSync("vim", ["--version"]).status === 0;
const LATE_MS = 400;
const LONG = { ttlMs: 30_000, graceMs: 500 };

let bench: HoldBench;
beforeAll(async () => {
  bench = await HoldBench.open();
});
afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

/** The wrapper, as a word to type: a script that runs it, with $OUT set. */
function wrapper(name: string, options: Partial<DriverOptions>, command: string[]): string {
  const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
  const words = bench.words(name, options, command).map(quote).join(" ");
  const script = bench.path(`${name}.sh`);
  writeFileSync(script, `OUT=${quote(bench.path(name))}; export OUT\nexec ${words}\n`);
  return `sh ${script}`;
}

function note(name: string, what: string): Promise<Note> {
  return until(`${name} notes "${what}"`, () => bench.notes(name).find((one) => one.what === what));
}

describe.skipIf(!hasTmux)("on a terminal", { concurrent: true }, () => {
  test("Ctrl-C ends the command, the wrapper, and the shell's loop around them", async () => {
    await using terminal = new Terminal(bench.folder, "ctrl-c");
    const hold = wrapper("ctrl-c", LONG, ["sleep", "600"]);
    terminal.line(`for i in 1 2 3; do ${hold}; echo "next:$?"; done`);
    await note("ctrl-c", "started");
    terminal.key("C-c");
    terminal.line('echo "code:$?"');
    await terminal.sees(/code:130/);
    expect(terminal.text).not.toMatch(/next:\d/);
  });

  test("a command that handles Ctrl-C gets it once, and goes on", async () => {
    await using terminal = new Terminal(bench.folder, "handles");
    // Two that come close together are one to a shell, but not to this.
    const script =
      'for (const s of ["INT", "QUIT"]) process.on("SIG" + s, () => console.log(s)); ' +
      'process.on("SIGTERM", () => process.exit(3)); setInterval(() => {}, 1000); console.log("up")';
    terminal.line(wrapper("handles", LONG, [process.execPath, "-e", script]));
    await terminal.sees(/^up/m);
    terminal.key("C-c");
    await terminal.sees(/INT/);
    terminal.key("C-\\");
    await terminal.sees(/QUIT/);
    await pause(200);
    expect(terminal.text.match(/INT/g)).toHaveLength(1);
    expect(terminal.text.match(/QUIT/g)).toHaveLength(1);
    process.kill((await note("handles", "begun")).pid ?? 0, "SIGTERM");
    terminal.line('echo "code:$?"');
    await terminal.sees(/code:3$/m);
  });

  test("Ctrl-Z suspends both, and fg goes on with both", async () => {
    await using terminal = new Terminal(bench.folder, "ctrl-z");
    const script =
      "echo $$ >> $OUT; i=0; while [ $i -lt 50 ]; do sleep 0.02; i=$((i+1)); done; echo finished; exit 6";
    terminal.line(wrapper("ctrl-z", LONG, ["sh", "-c", script]));
    const pid = Number(await until("it runs", () => bench.output("ctrl-z")[0]));
    const { pid: wrapperPid = 0 } = await note("ctrl-z", "begun");
    terminal.key("C-z");
    await terminal.sees(/Stopped/);
    for (const stopped of [pid, wrapperPid]) {
      expect(readFileSync(`/proc/${String(stopped)}/stat`, "utf8")).toMatch(/\) T /);
    }
    terminal.line("fg");
    await terminal.sees(/^finished/m);
    terminal.line('echo "code:$?"');
    await terminal.sees(/code:6/);
  });

  test("a suspended job ends at its deadline", async () => {
    await using terminal = new Terminal(bench.folder, "suspended");
    const script = 'trap "" TERM; echo $$ >> $OUT; while :; do sleep 0.05; done';
    terminal.line(wrapper("suspended", {}, ["sh", "-c", script]));
    const pid = Number(await until("it runs", () => bench.output("suspended")[0]));
    await note("suspended", "extended");
    terminal.key("C-z");
    await terminal.sees(/Stopped/);
    const died = await deathOf(pid);
    const deadlineMs = bench.notes("suspended").findLast((one) => one.deadlineMs)?.deadlineMs ?? 0;
    expect(died).toBeLessThan(deadlineMs + LATE_MS);
    expect(hostNow().hrMs).toBeGreaterThan(deadlineMs - LATE_MS);
    terminal.line("fg");
    await note("suspended", "ended");
    terminal.line('echo "code:$?"');
    await terminal.sees(/code:76/);
  });

  test("a shell inside has its terminal and its job control", async () => {
    await using terminal = new Terminal(bench.folder, "shell");
    const inner = "bash --norc --noprofile -i";
    terminal.line(wrapper("shell", LONG, ["env", "PS1=inner:", ...inner.split(" ")]));
    await terminal.sees(/^inner:/m);
    expect(terminal.text).not.toMatch(/no job control|cannot set terminal/);
    terminal.line("sleep 601");
    await until("it runs", () => runs("sleep 601"));
    terminal.key("C-z");
    await terminal.sees(/Stopped +sleep 601/);
    terminal.line("fg");
    await terminal.sees(/inner:fg/);
    await pause(200);
    terminal.key("C-c");
    await until("it has ended", () => !runs("sleep 601"));
    terminal.line("read line < /dev/tty");
    terminal.line("words");
    terminal.line('echo "read:$line"');
    await terminal.sees(/^read:words/m);
    terminal.line("exit 4");
    await note("shell", "ended");
    terminal.line('echo "code:$?"');
    await terminal.sees(/code:4/);
  });

  test.skipIf(!hasVim)("an editor works", async () => {
    await using terminal = new Terminal(bench.folder, "vim");
    const file = bench.path("vim-text");
    terminal.line(wrapper("vim", LONG, ["vim", "-u", "NONE", "-N", "-n", "-i", "NONE", file]));
    await terminal.sees(/vim-text/);
    await terminal.sees(/^~/m);
    terminal.key("i");
    terminal.line("written under a lock");
    terminal.key("Escape");
    terminal.line(":wq");
    await note("vim", "ended");
    terminal.line('echo "code:$?"');
    await terminal.sees(/code:0/);
    expect(readFileSync(file, "utf8")).toBe("written under a lock\n\n");
  });

  test("the command stays in the wrapper's process group, and is killed alone", async () => {
    await using terminal = new Terminal(bench.folder, "group");
    const script = 'trap "" TERM; ps -o pgid= -p $$ -p $PPID >> $OUT; while :; do sleep 0.05; done';
    const hold = wrapper("group", { keepForMs: 300 }, ["sh", "-c", script]);
    // A script has no job control: all of it is one process group.
    writeFileSync(
      bench.path("group-script"),
      `sleep 602 & ${hold}; echo "code:$?"; kill $! && echo mate\n`,
    );
    terminal.line(`sh ${bench.path("group-script")}`);
    await terminal.sees(/code:76\nmate/);
    const [own, wrappers] = bench.output("group").map((line) => line.trim());
    expect(own).toBe(wrappers);
  });

  test("a terminal that hangs up ends it all", async () => {
    await using terminal = new Terminal(bench.folder, "hang-up");
    const script = 'trap "" HUP TERM; echo $$ >> $OUT; while :; do sleep 0.05; done';
    terminal.line(wrapper("hang-up", { keepForMs: 300 }, ["sh", "-c", script]));
    const pid = Number(await until("it runs", () => bench.output("hang-up")[0]));
    const { guardianPid = 0 } = await note("hang-up", "begun");
    terminal.hangUp();
    await deathOf(pid);
    await until("the guardian has left", () => !isGuardian(guardianPid));
  });

  test("in a pipeline its neighbours live on, and Ctrl-C reaches all", async () => {
    await using terminal = new Terminal(bench.folder, "pipeline");
    const hold = wrapper("pipeline", LONG, ["cat"]);
    terminal.line(`(trap 'echo "producer heard"' INT; sleep 603; echo data) | ${hold} | cat`);
    await note("pipeline", "started");
    terminal.key("C-c");
    await note("pipeline", "ended");
    await terminal.sees(/ready:$/m);
    expect(runs("sleep 603")).toBe(false);
  });
});

function runs(commandLine: string): boolean {
  return spawnSync("pgrep", ["-xf", commandLine]).status === 0;
}
