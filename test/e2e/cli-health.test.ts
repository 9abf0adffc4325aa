import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CliHome, type DaemonProcess } from "../support/cli.js";
import { freePort } from "../support/free-port.js";

let home: CliHome;

beforeEach(async () => {
  home = await CliHome.make();
});
afterEach(() => home[Symbol.asyncDispose]());

/** A daemon that starts although its only store cannot be used. */
async function withoutStore(): Promise<DaemonProcess> {
  const broken = await home.file("broken.db", "this is no database, but long enough for one");
  const store = await home.file(
    "broken.toml",
    `[default]\nbackend = "sqlite"\n[backend.sqlite]\npath = "${broken}"\n`,
  );
  const daemon = await home.daemon(["-c", store]);
  await daemon.running.stderrMatches(/not ready/u);
  return daemon;
}

describe("stormlock health", () => {
  it("says yes of a daemon that serves", async () => {
    const { address } = await home.daemon();
    expect(await home.run(["health", "--server", address])).toMatchObject({
      code: 0,
      stdout: `${address}\tserving\n`,
      stderr: "",
    });
    const { code, stdout } = await home.run(["health", "--json", "--server", address]);
    expect([code, JSON.parse(stdout)]).toEqual([
      0,
      { serving: true, servers: [{ server: address, health: "serving" }] },
    ]);
  });

  it("says no of a daemon whose store cannot be used, exit code 1", async () => {
    const { address } = await withoutStore();
    const flags = ["--server", address];
    await expect
      .poll(() => home.run(["health", ...flags]), { timeout: 30_000 })
      .toMatchObject({ code: 1, stdout: `${address}\tnot serving\n`, stderr: "" });
    const { stdout } = await home.run(["health", "--json", ...flags]);
    expect(JSON.parse(stdout)).toMatchObject({ serving: false });
  });

  it("says that nobody answers, exit code 69, and no yes of another hides it", async () => {
    const { address } = await home.daemon();
    const nobody = `127.0.0.1:${String(await freePort())}`;
    const both = await home.run(["health", "--server", `${address},${nobody}`]);
    expect(both).toMatchObject({ code: 69, stdout: `${address}\tserving\n` });
    expect(both.stderr).toContain(`stormlock: ${nobody} cannot be reached`);
    const { code, stdout } = await home.run(["health", "--json", "--server", nobody]);
    expect(code).toBe(69);
    expect(JSON.parse(stdout)).toMatchObject({
      serving: false,
      servers: [{ server: nobody, health: "unreachable", message: expect.any(String) as string }],
    });
  });

  it("does not wait for ever for one that accepts and says nothing", async () => {
    const mute = createServer(() => undefined).listen(0, "127.0.0.1");
    await new Promise((ready) => mute.once("listening", ready));
    const { port } = mute.address() as { port: number };
    try {
      const { code, stderr } = await home.run(["health", "--server", `127.0.0.1:${String(port)}`]);
      expect(code).toBe(69);
      expect(stderr).toContain(`127.0.0.1:${String(port)} `);
    } finally {
      mute.close();
    }
  });

  it("asks where a daemon of this configuration listens when no server is named", async () => {
    const port = String(await freePort());
    const socket = `unix:${join(home.path, "s.sock")}`;
    const path = await home.file(
      "d.toml",
      `[daemon]\nlisten = ["0.0.0.0:${port}", "${socket}"]\ninsecure = true\n`,
    );
    await home.daemon(["-c", path, "--listen", `127.0.0.1:${port}`, "--listen", socket]);
    const { code, stdout } = await home.run(["health", "-c", path]);
    expect([code, stdout]).toEqual([0, `127.0.0.1:${port}\tserving\n${socket}\tserving\n`]);
    const any = await home.file("any.toml", `[daemon]\nlisten = ["127.0.0.1:0"]\n`);
    const asked = await home.run(["health", "-c", any]);
    expect(asked.code).toBe(64);
    expect(asked.stderr).toContain("--server");
  });

  it("refuses an address that is none", async () => {
    const { code, stderr } = await home.run(["health", "--server", "http://127.0.0.1"]);
    expect(code).toBe(64);
    expect(stderr).toContain("http://127.0.0.1");
  });
});

describe("stormlock health --wait", () => {
  it("waits until the daemon has started", async () => {
    const address = `127.0.0.1:${String(await freePort())}`;
    const waiting = home.start(["health", "--server", address, "--wait", "60s"]);
    const { running } = await home.daemon(["--listen", address]);
    expect(await waiting.ended).toMatchObject({ code: 0, stdout: `${address}\tserving\n` });
    running.kill("SIGTERM");
    await running.ended;
  });

  it("gives up when the wait is over, with the last answer", async () => {
    const { address } = await withoutStore();
    const flags = ["--server", address, "--wait", "300ms"];
    expect((await home.run(["health", ...flags])).code).toBe(1);
  });

  it("ends at once by a signal", async () => {
    const address = `127.0.0.1:${String(await freePort())}`;
    const waiting = home.start(["health", "--server", address, "--wait", "1h"]);
    const daemon = await home.daemon(["--listen", `127.0.0.1:0`]);
    expect(daemon.address).not.toBe(address);
    waiting.kill("SIGTERM");
    expect(await waiting.ended).toMatchObject({ signal: "SIGTERM", stdout: "" });
  });
});
