// A signal, whenever it comes: no lock is left to run out by itself.

import { constants } from "node:os";
import { describe, test } from "vitest";
import type { Hold } from "../../src/index.js";
import { commandOf, guardianOf, hostMs, isAlive, pause, until } from "../support/hold-cli.js";
import { holdScene } from "../support/hold-scene.js";
import { Proxy } from "../support/proxy.js";

const scene = holdScene("bob", "signal-");
const TERMINATED = 128 + constants.signals.SIGTERM;

async function heldByBob(resource: string): Promise<Hold> {
  const result = await scene.client.hold(resource, { ttlMs: 60_000 });
  if (result.kind !== "granted") throw new Error(result.message);
  return result.hold;
}

async function isTaken(resource: string): Promise<void> {
  for (;;) {
    const lease = await scene.client.current(resource);
    if (lease !== undefined && lease.principal !== "bob") return;
    await pause(5);
  }
}

describe("a signal", { concurrent: true }, () => {
  // The guardian, without which nothing starts, is stopped: so there is time in between.
  test.for(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "%s between the grant and the start of the command: nothing is run, and the lock is given back",
    async (signal, { expect }) => {
      const name = scene.fresh();
      const held = await heldByBob(name);
      const how = { servers: [scene.daemon.address], ttl: "60s" };
      const running = scene.home.hold(name, how, ["echo", "ran"]);
      await running.stderrMatches(/you are 1st/u);
      const guardian = guardianOf(running.pid);
      process.kill(guardian, "SIGSTOP");
      await held.release();
      await isTaken(name);
      running.kill(signal);
      const killedMs = hostMs();
      await using _next = await heldByBob(name);
      expect(hostMs() - killedMs).toBeLessThan(2000);
      const ended = await running.ended;
      expect(ended).toMatchObject({
        ...{ code: 128 + constants.signals[signal], signal: null, stdout: "" },
      });
    },
  );

  test("at any moment from the grant to the end leaves no lock behind", async ({ expect }) => {
    const codes = new Set<number>();
    const trial = async (delayMs: number): Promise<void> => {
      const name = scene.fresh();
      const held = await heldByBob(name);
      const out = scene.home.path(name);
      const how = { servers: [scene.daemon.address], ttl: "60s" };
      const running = scene.home.hold(name, how, ["sh", "-c", 'echo ran > "$0"', out]);
      await running.stderrMatches(/you are 1st/u);
      const releasing = held.release(); // So the first of all signals come before the grant.
      await pause(delayMs);
      running.kill("SIGTERM");
      await releasing;
      const ended = await running.ended;
      codes.add(ended.code);
      expect([0, TERMINATED]).toContain(ended.code);
      expect(await scene.client.current(name)).toBeUndefined();
      // What was told to be over before anything began has not begun.
      if (ended.code === TERMINATED && ended.signal === null) {
        expect(scene.home.has(out)).toBe(false);
      }
    };
    // Some ms before the grant until long after the end.
    for (let delayMs = 0; delayMs < 60; delayMs += 12) {
      await Promise.all([0, 4, 8].map((more) => trial(delayMs + more)));
    }
    expect(codes).toContain(TERMINATED);
  });

  test("while the lock is given back lets that be finished, and the code is the command's", async ({
    expect,
  }) => {
    const name = scene.fresh();
    await using proxy = await Proxy.open(scene.daemon.address);
    const how = { servers: [proxy.address], ttl: "60s" };
    const out = scene.home.path(name);
    const script = 'touch "$0"; until [ -e "$0.go" ]; do sleep 0.05; done; exit 7';
    const running = scene.home.hold(name, how, ["sh", "-c", script, out]);
    await until("it runs", () => scene.home.has(out));
    const command = commandOf(running.pid);
    proxy.freeze();
    await scene.home.cli.file(`${name}.out.go`, "");
    await until("the command has ended", () => !isAlive(command));
    await pause(100);
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) running.kill(signal);
    await pause(100);
    proxy.pass({ kind: "free" });
    expect(await running.ended).toMatchObject({ code: 7, signal: null });
    expect(await scene.client.current(name)).toBeUndefined();
  });

  test("while one lock is held and another awaited ends it at once, although no daemon answers", async ({
    expect,
  }) => {
    const [a, b] = [`${scene.fresh()}/a`, `${scene.fresh()}/b`];
    await using _held = await heldByBob(b);
    await using proxy = await Proxy.open(scene.daemon.address);
    const how = { servers: [proxy.address], ttl: "60s" };
    const waiting = scene.home.hold([a, b], how, ["echo", "ran"]);
    await waiting.stderrMatches(/you are 1st/u);
    proxy.freeze();
    const killedMs = hostMs();
    waiting.kill("SIGTERM");
    expect(await waiting.ended).toMatchObject({ code: TERMINATED, stdout: "" });
    expect(hostMs() - killedMs).toBeLessThan(2500);
  });

  test("to a sidecar between the grant and its files: none appears, and the lock is given back", async ({
    expect,
  }) => {
    const name = scene.fresh();
    const held = await heldByBob(name);
    const words = ["hold", name, "--sidecar", "--server", scene.daemon.address, "--ttl", "60s"];
    const file = scene.home.path(name);
    const running = scene.home.cli.start([...words, "--ready-file", file]);
    await running.stderrMatches(/you are 1st/u);
    process.kill(guardianOf(running.pid), "SIGSTOP");
    await held.release();
    await isTaken(name);
    running.kill("SIGTERM");
    const killedMs = hostMs();
    await using _next = await heldByBob(name);
    expect(hostMs() - killedMs).toBeLessThan(2000);
    expect((await running.ended).code).toBe(0);
    expect(scene.home.has(file)).toBe(false);
  });

  test("to a sidecar that gives its lock back, no daemon answering, lets it go within a second", async ({
    expect,
  }) => {
    const name = scene.fresh();
    await using proxy = await Proxy.open(scene.daemon.address);
    const words = ["hold", name, "--sidecar", "--server", proxy.address, "--ttl", "60s"];
    const running = scene.home.cli.start(words);
    await running.stderrMatches(/holding/u);
    proxy.freeze();
    running.kill("SIGTERM");
    await pause(500);
    const killedMs = hostMs();
    running.kill("SIGTERM");
    expect(await running.ended).toMatchObject({ code: 0, signal: null });
    expect(hostMs() - killedMs).toBeLessThan(2500);
  });
});
