// Who waits is served in the order of arrival.

import { describe, test } from "vitest";
import { connect } from "../../src/index.js";
import { StockClient } from "../rpc/support/stock-client.js";
import { HoldStream, tokenOf } from "../rpc/support/hold-stream.js";
import { HoldHome, hostMs, pause } from "../support/hold-cli.js";

describe("a queue", { concurrent: true }, () => {
  test("of twenty streams that arrive 20 ms apart is served in order", async ({ expect }) => {
    await using home = await HoldHome.make();
    const { address } = await home.daemon();
    await using client = new StockClient(address);
    const holder = new HoldStream(client);
    const held = holder.acquire("x");
    await holder.next("granted");
    const served: number[] = [];
    const tokens: bigint[] = [];
    const waiting = [];
    for (let at = 0; at < 20; at++) {
      const stream = new HoldStream(client);
      const leaseId = stream.acquire("x");
      waiting.push(
        (async () => {
          tokens.push(tokenOf(await stream.next("granted")));
          served.push(at);
          stream.say("release", { resource: "x", lease_id: leaseId });
          await stream.next("released");
          stream.break();
        })(),
      );
      await pause(20);
    }
    holder.say("release", { resource: "x", lease_id: held });
    await Promise.all(waiting);
    expect(served).toEqual(Array.from({ length: 20 }, (_, at) => at));
    expect(tokens).toEqual([...tokens].sort((a, b) => (a < b ? -1 : 1)));
    holder.break();
  });

  test("of eight commands is served one by one, and every exit code is right", async ({
    expect,
  }) => {
    await using home = await HoldHome.make();
    const { address } = await home.daemon();
    const how = { servers: [address], ttl: "5s" };
    await using watcher = connect({ servers: [address] });
    const first = await watcher.hold("x", { ttlMs: 5000 });
    if (first.kind !== "granted") throw new Error(first.message);
    const running = [];
    for (let at = 0; at < 8; at++) {
      const waiting = home.hold("x", how, home.beat(`c${String(at)}`, 150, at));
      running.push(waiting);
      await waiting.stderrMatches(/^waiting for x: held by .*, you are [1-8](st|nd|rd|th)$/mu);
    }
    await first.hold.release();
    const ended = await Promise.all(running.map((each) => each.ended));
    expect(ended.map(({ code }) => code)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    const lives = ended.map((_, at) => home.life(`c${String(at)}`));
    for (let at = 1; at < lives.length; at++) {
      expect(lives[at]?.firstMs).toBeGreaterThan(lives[at - 1]?.lastMs ?? Infinity);
      expect(BigInt(lives[at]?.token ?? 0)).toBeGreaterThan(BigInt(lives[at - 1]?.token ?? 0));
    }
    expect(await watcher.current("x")).toBeUndefined();
  });

  test("takes the next one at once: no command waits for a ttl or for a poll", async ({
    expect,
  }) => {
    await using home = await HoldHome.make();
    const { address } = await home.daemon();
    const how = { servers: [address], ttl: "60s" };
    const first = home.hold("x", how, home.beat("first", 1500));
    await home.born("first");
    const second = home.hold("x", how, home.beat("second", 0));
    await Promise.all([first.ended, second.ended]);
    const gapMs = (home.life("second")?.firstMs ?? Infinity) - (home.life("first")?.lastMs ?? 0);
    // The start of a process included.
    expect(gapMs).toBeGreaterThan(0);
    expect(gapMs).toBeLessThan(1000);
  });

  test("loses who is killed while he waits, and delays nobody by that", async ({ expect }) => {
    await using home = await HoldHome.make();
    const { address } = await home.daemon();
    const how = { servers: [address], ttl: "60s" };
    await using client = connect({ servers: [address] });
    const first = await client.hold("x");
    if (first.kind !== "granted") throw new Error(first.message);
    const gone = home.hold("x", how, home.beat("gone", 0));
    await gone.stderrMatches(/you are 1st/u);
    const last = home.hold("x", how, home.beat("last", 0));
    await last.stderrMatches(/you are 2nd/u);
    gone.kill("SIGKILL");
    await gone.ended;
    await first.hold.release();
    const freeMs = hostMs();
    expect((await last.ended).code).toBe(0);
    expect(hostMs() - freeMs).toBeLessThan(3000);
    expect(home.life("gone")).toBeUndefined();
  });
});
