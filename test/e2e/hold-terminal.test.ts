// `stormlock hold` on a real terminal, with a real daemon. (The process side alone, in all its
// corners: child-terminal.test.ts.)

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connect, type LockClient } from "../../src/index.js";
import { PROGRAM, type DaemonProcess } from "../support/cli.js";
import { HoldHome, isAlive, pause, until } from "../support/hold-cli.js";
import { hasTmux, Terminal } from "../support/tmux.js";

const hasVim = spawnSync("vim", ["--version"]).status === 0;

let home: HoldHome;
let daemon: DaemonProcess;
let client: LockClient;
beforeAll(async () => {
  home = await HoldHome.make();
  daemon = await home.daemon();
  client = connect({ servers: [daemon.address], principal: "ann@ci-7" });
});
afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await home[Symbol.asyncDispose]();
});

function open(name: string): Terminal {
  const terminal = new Terminal(join(home.cli.path, name), name);
  terminal.line(`cd ${home.cli.path}; export HOME=${home.cli.path} TERM=xterm; clear`);
  return terminal;
}

function hold(resource: string, command: string, flags = "-t 30s"): string {
  return `${process.execPath} ${PROGRAM} hold ${resource} --server ${daemon.address} ${flags} -- ${command}`;
}

async function isFree(resource: string): Promise<void> {
  for (let look = 0; look < 200; look++) {
    if ((await client.current(resource)) === undefined) return;
    await pause(50);
  }
  throw new Error(`${resource} is held yet`);
}

describe.skipIf(!hasTmux)("on a terminal", { concurrent: true }, () => {
  test("a wait is one line kept up to date, and taken away", async () => {
    await using terminal = open("wait");
    const result = await client.hold("wait", { ttlMs: 60_000, reason: "release 4.2" });
    if (result.kind !== "granted") throw new Error(result.message);
    terminal.line(hold("wait", "echo mine"));
    await terminal.sees(
      /waiting for wait: held by ann@ci-7 for [0-9]+s \(release 4\.2\), you are 1st/u,
    );
    await result.hold.release();
    await terminal.sees(/^mine$/mu);
    expect(terminal.text).not.toMatch(/^waiting for wait/mu);
  });

  test("Ctrl-C ends a wait with 130, and nothing is run", async () => {
    await using terminal = open("ctrl-c-wait");
    await using held = await client.hold("ctrl-c-wait").then((result) => {
      if (result.kind !== "granted") throw new Error(result.message);
      return result.hold;
    });
    terminal.line(hold("ctrl-c-wait", "touch ran.out"));
    await terminal.sees(/you are 1st/u);
    terminal.key("C-c");
    terminal.line('echo "code:$?"');
    await terminal.sees(/code:130/u);
    expect(home.has(home.path("ran"))).toBe(false);
    expect(held.isHeld).toBe(true);
  });

  test("Ctrl-C ends the command and the shell's loop around it, and the lock is free", async () => {
    await using terminal = open("ctrl-c");
    const command = hold("ctrl-c", home.beat("ctrl-c", 60_000).join(" "));
    terminal.line(`for i in 1 2 3; do ${command}; echo "next:$?"; done`);
    await home.born("ctrl-c");
    terminal.key("C-c");
    terminal.line('echo "code:$?"');
    await terminal.sees(/code:130/u);
    expect(terminal.text).not.toMatch(/next:\d/u);
    await isFree("ctrl-c");
  });

  test("Ctrl-Z suspends it, fg carries it on, and the lock is kept while it is brief", async () => {
    await using terminal = open("ctrl-z");
    const beat = home.beat("ctrl-z", 5000, 7).join(" ");
    terminal.line(hold("ctrl-z", beat, "-t 20s"));
    const { token } = await home.born("ctrl-z");
    terminal.key("C-z");
    await terminal.sees(/Stopped/u);
    const stopped = home.life("ctrl-z")?.lastMs;
    await pause(1000);
    expect(home.life("ctrl-z")?.lastMs).toBe(stopped);
    terminal.line("fg");
    await until("it lives again", () => (home.life("ctrl-z")?.lastMs ?? 0) > (stopped ?? 0) + 900);
    expect(String((await client.current("ctrl-z"))?.token)).toBe(token);
    await terminal.sees(/ready:/u);
    terminal.line('echo "code:$?"');
    await terminal.sees(/code:7/u);
    await isFree("ctrl-z");
  });

  test("what stays suspended is dead before the next holder's command lives", async () => {
    await using terminal = open("suspended");
    terminal.line(hold("suspended", home.beat("suspended-1", 60_000).join(" "), "-t 2s"));
    const { pid } = await home.born("suspended-1");
    const next = home.hold(
      "suspended",
      { servers: [daemon.address], ttl: "2s" },
      home.beat("suspended-2", 50),
    );
    await next.stderrMatches(/you are 1st/u);
    terminal.key("C-z");
    expect((await next.ended).code).toBe(0);
    const [first, second] = [home.life("suspended-1"), home.life("suspended-2")];
    expect(second?.firstMs).toBeGreaterThan(first?.lastMs ?? Infinity);
    expect(isAlive(pid)).toBe(false);
    terminal.line("fg");
    terminal.line('echo "code:$?"');
    await terminal.sees(/code:76/u);
  });

  test("an interactive shell has job control under it", async () => {
    await using terminal = open("shell");
    terminal.line(hold("shell", "env PS1=inner: bash --norc --noprofile -i"));
    await terminal.sees(/^inner:/mu);
    terminal.line("sleep 600");
    await pause(500);
    terminal.key("C-z");
    await terminal.sees(/Stopped.*sleep 600/u);
    terminal.line("jobs; bg; jobs");
    await terminal.sees(/Running.*sleep 600/u);
    terminal.line("fg");
    await pause(300);
    terminal.key("C-c");
    terminal.line('echo "inner-code:$?:$STORMLOCK_RESOURCE"');
    await terminal.sees(/inner-code:130:shell/u);
    terminal.line("exit 9");
    terminal.line('echo "outer-code:$?"');
    await terminal.sees(/outer-code:9/u);
    await isFree("shell");
  });

  test.skipIf(!hasVim)("an editor works as ever", async () => {
    await using terminal = open("vim");
    terminal.line(hold("vim", "vim -u NONE -N -n -i NONE edited.out"));
    await terminal.sees(/^~/mu);
    terminal.line("ihello under a lock");
    terminal.key("Escape");
    terminal.line(":wq");
    await until("it is written", () =>
      home.read(home.path("edited")).includes("hello under a lock"),
    );
    await isFree("vim");
    terminal.line('echo "code:$?"');
    await terminal.sees(/code:0/u);
  });

  test("what is left when the terminal is taken away gives the lock back", async () => {
    await using terminal = open("hangup");
    terminal.line(hold("hangup", home.beat("hangup", 60_000).join(" "), "-t 20s"));
    const { pid } = await home.born("hangup");
    terminal.hangUp();
    await until("the command is dead", () => !isAlive(pid));
    await isFree("hangup");
  });
});
