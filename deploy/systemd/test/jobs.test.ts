// Commands that run on one machine of several, by the units for them, as the page installs them.

import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { CliHome } from "../../../test/support/cli.js";
import { Machine, whyNoMachine } from "./machine.js";

const PAGE = readFileSync(resolve("docs/systemd.md"), "utf8");
const BLOCKS = [...PAGE.matchAll(/```text\n([^]*?)```/gu)].map(([, text = ""]) => text);
const SHARED = "STORMLOCK_SERVER=unix:/srv/daemon.sock";
const patience = { timeout: 60_000 };

/** What the page says to type for something. */
function lines(that: string): string {
  const block = BLOCKS.find((text) => text.includes(that));
  if (block === undefined) throw new Error(`docs/systemd.md has no block with ${that}`);
  return `set -e; cd /opt/stormlock; ${block}`;
}

/** A daemon, whose socket is in a folder that machines share as their /srv. */
async function daemon(): Promise<CliHome> {
  const home = await CliHome.make();
  try {
    await home.daemon(["--listen", `unix:${join(home.path, "daemon.sock")}`]);
    return home;
  } catch (error) {
    await home[Symbol.asyncDispose]();
    throw error;
  }
}

/** A machine with our units, and with a program of the user's at a path there. */
async function machineWith(shared: CliHome, path: string, script: string): Promise<Machine> {
  const machine = await Machine.boot(shared.path);
  await machine.install();
  machine.write(path, `#!/bin/sh\n${script}`);
  await machine.must(`chmod 0755 ${path}`);
  return machine;
}

const said = (home: CliHome): string[] =>
  existsSync(join(home.path, "said"))
    ? readFileSync(join(home.path, "said"), "utf8").trimEnd().split("\n")
    : [];

const why = await whyNoMachine();

describe.skipIf(why !== undefined)(`units for jobs${why === undefined ? "" : `: ${why}`}`, () => {
  it("the page's lines lead from nothing to a daemon that answers", async () => {
    await using machine = await Machine.boot();
    expect(await machine.must(lines("make install-systemd"))).toMatch(/\sserving$/u);
    await machine.must(
      `useradd --no-create-home ann; ${lines("usermod")} id -nG ann | grep stormlock`,
    );
  });

  it("a command runs on one machine; when it is stopped it ends in order, and another goes on", async () => {
    await using home = await daemon();
    // Tells its end, too, a moment after it was asked.
    const script =
      'say() { echo "$(hostname) $1" >> /srv/said; }\n' +
      "trap 'sleep 0.3; say ended; exit 0' TERM\n" +
      'say "begun $STORMLOCK_RESOURCE $*"\nwhile :; do sleep 0.05; done\n';
    await using one = await machineWith(home, "/usr/local/bin/report", script);
    await using two = await machineWith(home, "/usr/local/bin/report", script);
    const machines = [one, two];
    for (const machine of machines) {
      machine.write(
        "/etc/systemd/system/stormlock-hold@.service.d/server.conf",
        `[Service]\nEnvironment=${SHARED} "HOLD_OPTIONS=--ttl 5s"\n`,
      );
      await machine.must(lines("COMMAND=/usr/local/bin/report"));
    }
    await expect.poll(() => said(home), patience).toHaveLength(1);
    const [first = ""] = said(home);
    expect(first).toMatch(/ begun deploy\/prod --every 5m$/u);
    const names = await Promise.all(machines.map((machine) => machine.must("hostname")));
    expect(new Set(names).size).toBe(2);
    const at = names.indexOf(first.split(" ")[0] ?? "");
    expect(at).not.toBe(-1);
    await machines[at]?.must("systemctl stop stormlock-hold@deploy-prod");
    await expect.poll(() => said(home), patience).toHaveLength(3);
    expect(said(home)[1]).toBe(`${names[at] ?? ""} ended`);
    expect(said(home)[2]).toBe(`${names[1 - at] ?? ""} begun deploy/prod --every 5m`);
    expect(await machines[at]?.property("stormlock-hold@deploy-prod", "Result")).toBe("success");

    // The power goes, and the lock ends by itself.
    await machines[at]?.must("systemctl start stormlock-hold@deploy-prod");
    await machines[1 - at]?.cutPower();
    await expect.poll(() => said(home), patience).toHaveLength(4);
    expect(said(home)[3]).toBe(first);
  });

  // 64, 77 and 78 are what `stormlock hold` says of usage, rights and configuration.
  it("a command runs again after it has ended, by whatever exit code", async () => {
    await using home = await daemon();
    const script =
      "runs=$(cat /srv/said 2>/dev/null | wc -l)\n" +
      'echo "$(hostname) run" >> /srv/said\n' +
      'set -- 0 1 64 77 78\nshift "$runs" && test $# -gt 0 || exec sleep 1000\nexit "$1"\n';
    await using machine = await machineWith(home, "/usr/local/bin/report", script);
    machine.write(
      "/etc/systemd/system/stormlock-hold@.service.d/server.conf",
      `[Service]\nEnvironment=${SHARED}\nRestartSec=100ms\n`,
    );
    await machine.must(lines("COMMAND=/usr/local/bin/report"));
    await expect.poll(() => said(home), patience).toHaveLength(6);
    expect(await machine.property("stormlock-hold@deploy-prod", "NRestarts")).toBe("5");
  });

  it("a nightly job runs on one machine, once, even on a machine that comes later", async () => {
    await using home = await daemon();
    const script = 'echo "$(hostname) $*" >> /srv/said\ntest ! -e /srv/fail || exit 75\n';
    await using one = await machineWith(home, "/usr/local/bin/backup", script);
    await using two = await machineWith(home, "/usr/local/bin/backup", script);
    for (const machine of [one, two]) {
      await machine.must(lines("COMMAND=/usr/local/bin/backup"));
      await machine.must(`echo '${SHARED}' >> /etc/stormlock/nightly/backup.conf`);
      expect(await machine.property("stormlock-nightly@backup.timer", "ActiveState")).toBe(
        "active",
      );
    }
    const start = "systemctl start stormlock-nightly@backup.service";
    // One that fails leaves the work to others, by whatever code: also by what `stormlock hold` says
    // of a lock that another has.
    appendFileSync(join(home.path, "fail"), "");
    expect((await one.run(start)).code).not.toBe(0);
    expect(said(home)).toHaveLength(1);
    await home.bash(`rm fail`);

    await Promise.all([one.must(start), two.must(start)]);
    expect(said(home)).toHaveLength(2);
    expect(said(home)[1]).toMatch(/ --all$/u);
    // The clock of this one is behind.
    await one.must(start);
    await two.must(start);
    expect(said(home)).toHaveLength(2);
    const journal = await one.journal("stormlock-nightly@backup.service");
    expect(journal).toMatch(/done already|is held by/u);
    const { stdout } = await home.run(["list", "nightly/", ...server(home)]);
    expect(stdout).toContain("nightly/backup/done");
  });
});

function server(home: CliHome): string[] {
  return ["--server", `unix:${join(home.path, "daemon.sock")}`];
}
