// A daemon that is away for longer than a command looks for one that it does not know.

import { describe, test } from "vitest";
import { connect } from "../../src/index.js";
import { freePort } from "../support/free-port.js";
import { HoldHome, hostMs, pause, until } from "../support/hold-cli.js";
import { Proxy } from "../support/proxy.js";

// Longer than the patience with an address that has never answered.
const AWAY_MS = 5000;
const WAIT_MS = 6000;

describe("a daemon that is away", { concurrent: true }, () => {
  test("ends no wait that it has queued: whoever waits says so once, and has the lock when it is back", async ({
    expect,
  }) => {
    await using home = await HoldHome.make();
    const first = await home.daemon();
    await using client = connect({ servers: [first.address] });
    const held = await client.hold("b", { ttlMs: 60_000 });
    if (held.kind !== "granted") throw new Error(held.message);
    const how = { servers: [first.address], ttl: "60s" };
    const one = home.hold("b", how, ["echo", "one"]);
    // With one lock in hand and another awaited it is no different.
    const both = home.hold(["a", "b"], how, ["echo", "both"]);
    await Promise.all([one.stderrMatches(/you are/u), both.stderrMatches(/you are/u)]);
    const killedMs = hostMs();
    first.running.kill("SIGKILL");
    await Promise.all(
      [one, both].map((each) =>
        each.stderrMatches(/^waiting for b: .* cannot be reached.*; asking again$/mu),
      ),
    );
    await pause(AWAY_MS - (hostMs() - killedMs));
    await home.daemon(first.address);
    await held.hold.release();
    for (const [running, stdout] of [
      [one, "one\n"],
      [both, "both\n"],
    ] as const) {
      const ended = await running.ended;
      expect(ended).toMatchObject({ code: 0, stdout });
      expect(ended.stderr.match(/asking again/gu)).toHaveLength(1);
    }
  });

  test("loses its queue: who comes back after others have queued anew stands behind them", async ({
    expect,
  }) => {
    await using home = await HoldHome.make();
    const first = await home.daemon();
    await using proxy = await Proxy.open(first.address);
    await using client = connect({ servers: [first.address] });
    const held = await client.hold("x", { ttlMs: 60_000 });
    if (held.kind !== "granted") throw new Error(held.message);
    const early = home.hold("x", { servers: [proxy.address], ttl: "20s" }, home.beat("early", 50));
    await early.stderrMatches(/you are 1st/u);
    // The way to the daemon is shut until the other stands in the new queue.
    proxy.freeze();
    first.running.kill("SIGKILL");
    await first.running.ended;
    await home.daemon(first.address);
    const late = home.hold("x", { servers: [first.address], ttl: "20s" }, home.beat("late", 50));
    await late.stderrMatches(/you are 1st/u);
    const { connections } = proxy;
    proxy.cut();
    proxy.pass({ kind: "free" });
    await until("it asks the new daemon", () => proxy.connections > connections);
    await pause(1000);
    await held.hold.release();
    expect([(await early.ended).code, (await late.ended).code]).toEqual([0, 0]);
    expect(home.life("early")?.firstMs).toBeGreaterThan(home.life("late")?.lastMs ?? Infinity);
  });

  test("for the rest of a wait that has an end is told with 69", async ({ expect }) => {
    await using home = await HoldHome.make();
    const { address, running } = await home.daemon();
    await using client = connect({ servers: [address] });
    await client.hold("x", { ttlMs: 60_000 });
    const how = { servers: [address], ttl: "60s", flags: ["--wait", `${String(WAIT_MS)}ms`] };
    const waiting = home.hold("x", how, ["echo", "ran"]);
    await waiting.stderrMatches(/you are 1st/u);
    running.kill("SIGKILL");
    const killedMs = hostMs();
    expect(await waiting.ended).toMatchObject({ code: 69, stdout: "" });
    expect(hostMs() - killedMs).toBeGreaterThan(WAIT_MS - 1000);
  });

  test("does not keep a sidecar that is to contend again from waiting for it, from the first ask on", async ({
    expect,
  }) => {
    await using home = await HoldHome.make();
    const address = `127.0.0.1:${String(await freePort())}`;
    const words = ["hold", "x", "--sidecar", "--server", address, "--ttl", "10s"];
    const once = home.cli.start(words);
    const again = home.cli.start([...words, "--again"]);
    await again.stderrMatches(/cannot be reached.*asking again/u);
    expect((await once.ended).code).toBe(69);
    await home.daemon(address);
    await again.stderrMatches(/holding x with token/u);
    again.kill("SIGTERM");
    expect((await again.ended).code).toBe(0);
  });
});
