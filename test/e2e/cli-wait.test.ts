import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CliHome, PROGRAM, type Running } from "../support/cli.js";

const RUN = `${process.execPath} ${PROGRAM}`;

let home: CliHome;

beforeEach(async () => {
  home = await CliHome.make();
});
afterEach(() => home[Symbol.asyncDispose]());

const WAYS = ["with a daemon", "without one"] as const;

async function flagsFor(way: (typeof WAYS)[number]): Promise<readonly string[]> {
  return way === "with a daemon" ? ["--server", (await home.daemon()).address] : [];
}

describe.each(WAYS)("acquire --wait, %s", (way) => {
  it("takes the lock when it is given back, and says meanwhile who has it", async () => {
    const flags = await flagsFor(way);
    const ann = ["--principal", "ann@ci-7", "--reason", "release 4.2"];
    const first = await home.run(["acquire", "x", "-t", "1m", ...ann, ...flags]);
    const second = home.start(["acquire", "x", "-w", "30s", ...flags]);
    await second.stderrMatches(/^waiting for x: held by ann@ci-7 for [0-9]+s \(release 4\.2\)$/mu);
    await home.run(["release", "x", first.stdout.trim(), ...flags]);
    const ended = await second.ended;
    expect(ended.code).toBe(0);
    expect(ended.stdout).toMatch(/^[0-9a-f]{32}\n$/u);
    // One line, where it is no terminal.
    expect(ended.stderr.match(/waiting for/gu)).toHaveLength(1);
    const held = await home.run(["is-held", "x", ended.stdout.trim(), ...flags]);
    expect(held.code).toBe(0);
  });

  it("says nothing when the wait is over at once, and exits 2 when it runs out", async () => {
    const flags = await flagsFor(way);
    const free = await home.run(["acquire", "x", "-t", "1m", "-w", "30s", "-q", ...flags]);
    expect(free).toMatchObject({ code: 0, stderr: "" });
    const startedMs = performance.now();
    const late = await home.run(["acquire", "x", "-w", "1s", ...flags]);
    expect(performance.now() - startedMs).toBeGreaterThan(1000);
    expect(late).toMatchObject({ code: 2, stdout: "" });
    expect(late.stderr).toMatch(/stormlock: x is held by /u);
  });

  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "dies by %s, out of the queue and with nothing taken",
    async (signal) => {
      const flags = await flagsFor(way);
      const first = await home.run(["acquire", "x", "-t", "1m", ...flags]);
      const waiting = home.start(["acquire", "x", "-w", "1m", ...flags]);
      await waiting.stderrMatches(/waiting for x/u);
      waiting.kill(signal);
      expect(await waiting.ended).toMatchObject({ signal, stdout: "" });
      await home.run(["release", "x", first.stdout.trim(), ...flags]);
      expect((await home.run(["current", "x", ...flags])).code).toBe(1);
    },
  );
});

describe("acquire --wait on a terminal", () => {
  function onTerminal(line: string, env: Record<string, string> = {}): Running {
    return home.start(["-qec", line, "/dev/null"], {
      program: ["script"],
      env: { TERM: "xterm", ...env },
    });
  }

  it("keeps one line up to date, and takes it away", async () => {
    const first = await home.run(["acquire", "x", "-t", "4s", "--principal", "ann"]);
    expect(first.code).toBe(0);
    const { stdout, code } = await onTerminal(`${RUN} acquire x -w 30s`).ended;
    expect(code).toBe(0);
    const shown = stdout.replaceAll("\u001b", "ESC");
    const seconds = [...shown.matchAll(/\rESC\[Kwaiting for x: held by ann for ([0-9]+)s/gu)];
    expect(new Set(seconds.map(([, count]) => count)).size).toBeGreaterThan(1);
    expect(shown).toMatch(/\rESC\[K[0-9a-f]{32}\r\n$/u);
  });

  it("colours an error, and not with NO_COLOR or on a terminal that cannot", async () => {
    const line = `${RUN} current nobody; true`;
    expect((await onTerminal(line).ended).stdout).toContain("\u001b[31mstormlock:\u001b[39m");
    for (const env of [{ NO_COLOR: "1" }, { TERM: "dumb" }]) {
      const { stdout } = await onTerminal(line, env).ended;
      expect(stdout).toContain("stormlock: nobody holds nobody");
      expect(stdout).not.toContain("\u001b[");
    }
  });
});
