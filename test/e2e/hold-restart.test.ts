// A daemon that is killed, restarted or replaced under those who hold.

import { describe, expect, test } from "vitest";
import { connect, systemClock } from "../../src/index.js";
import { StockClient } from "../rpc/support/stock-client.js";
import { HoldStream, tokenOf } from "../rpc/support/hold-stream.js";
import { HoldHome, hostMs, isAlive, pause, until } from "../support/hold-cli.js";
import { Holders } from "../support/holders.js";

// Each with a lock of its own: told apart from one stream with many.
const STREAMS = 200;
const COMMANDS = 10;
const TTL_MS = 15_000;

/** Ten commands under locks, that notice nothing at all. */
async function commands(home: HoldHome, servers: readonly string[]): Promise<() => Promise<void>> {
  const names = Array.from({ length: COMMANDS }, (_, at) => `command-${String(at)}`);
  const running = names.map((name) =>
    home.hold(name, { servers, ttl: "30s" }, [
      "bash",
      "-c",
      WAIT_FOR_FILE,
      home.path("go"),
      home.path(name),
    ]),
  );
  const tokens = await Promise.all(
    names.map((name) =>
      until(`${name} runs`, () => /^[0-9]+$/mu.exec(home.read(home.path(name)))?.[0]),
    ),
  );
  return async () => {
    expect(running.map(({ pid }) => isAlive(pid))).not.toContain(false);
    await using client = connect({ servers });
    for (const [at, name] of names.entries()) {
      expect(String((await client.current(name))?.token)).toBe(tokens[at]);
    }
    await home.cli.file("go.out", "");
    for (const each of running) expect(await each.ended).toMatchObject({ code: 7, stderr: "" });
    for (const name of names) expect(await client.current(name)).toBeUndefined();
  };
}

// Tells its token, waits until it is told to go on, and exits with a code of its own.
const WAIT_FOR_FILE =
  'echo "$STORMLOCK_FENCING_TOKEN" > "$1"; until [ -e "$0" ]; do sleep 0.2; done; exit 7';

describe("holds under a daemon that goes away", { timeout: 90_000 }, () => {
  test("kill -9, and back after two seconds: all resume with the same token", async () => {
    await using home = await HoldHome.make();
    const beganMs = hostMs();
    const first = await home.daemon();
    const startMs = hostMs() - beganMs;
    const servers = [first.address];
    await using holders = await Holders.gather(servers, { clients: STREAMS, ttlMs: TTL_MS });
    const finish = await commands(home, servers);
    // A crowded machine takes seconds to start a daemon: not when many heartbeats are due as well.
    await until(
      "all have been renewed",
      () => holders.leastLeftMs > 0.7 * TTL_MS,
      TTL_MS / 2,
    ).catch(() => null);
    first.running.kill("SIGKILL");
    const killedMs = systemClock.monotonicMs();
    await pause(Math.max(500, 2000 - startMs));
    await home.daemon(first.address);
    await holders.check(servers, killedMs + TTL_MS);
    await finish();
  });

  test("two daemons, one stopped by SIGTERM: all go to the other, and it exits 0 in time", async () => {
    await using home = await HoldHome.make();
    const [one, two] = [await home.daemon(), await home.daemon()];
    const servers = [one.address, two.address];
    await using holders = await Holders.gather(servers, { clients: STREAMS, ttlMs: TTL_MS });
    const finish = await commands(home, servers);
    const stoppedMs = hostMs();
    const killedMs = systemClock.monotonicMs();
    one.running.kill("SIGTERM");
    expect((await one.running.ended).code).toBe(0);
    const tookMs = hostMs() - stoppedMs;
    expect(tookMs).toBeLessThan(TTL_MS / 3 + 1000);
    await holders.check([two.address], killedMs + TTL_MS);
    await finish();
  });

  test("a stock client resumes on another daemon over the same file", async () => {
    await using home = await HoldHome.make();
    const [one, two] = [await home.daemon(), await home.daemon()];
    await using toOne = new StockClient(one.address);
    await using toTwo = new StockClient(two.address);
    const first = new HoldStream(toOne);
    const leaseId = first.acquire("x", { ttl: { seconds: 5 } });
    const token = tokenOf(await first.next("granted"));
    one.running.kill("SIGKILL");
    await first.over;
    const second = new HoldStream(toTwo);
    second.heartbeat();
    second.say("resume", { resource: "x", lease_id: leaseId });
    expect(tokenOf(await second.next("granted"))).toBe(token);
    second.say("release", { resource: "x", lease_id: leaseId });
    await second.next("released");
    second.break();
  });
});

describe("a holder's process", () => {
  test("killed: its child is dead before its lock is free, within ttl + 0.5 s", async () => {
    await using home = await HoldHome.make();
    const { address } = await home.daemon();
    const holder = home.hold("x", { servers: [address], ttl: "2s" }, home.beat("child", 60_000));
    const { pid } = await home.born("child");
    await using client = connect({ servers: [address] });
    const next = client.hold("x", { ttlMs: 2000 }).then((granted) => ({ granted, atMs: hostMs() }));
    await pause(300);
    holder.kill("SIGKILL");
    const killedMs = hostMs();
    const { granted, atMs } = await next;
    expect(granted.kind).toBe("granted");
    expect(isAlive(pid)).toBe(false);
    expect(atMs).toBeGreaterThan(home.life("child")?.lastMs ?? Infinity);
    expect(atMs - killedMs).toBeLessThan(2000 + 500);
  });

  test("with a client of ours ends by itself once the client is closed", async () => {
    await using home = await HoldHome.make();
    const { address } = await home.daemon();
    const script = await home.cli.file(
      "program.mjs",
      `import { connect } from ${JSON.stringify(new URL("../../dist/index.js", import.meta.url).href)};
       const client = connect({ servers: [${JSON.stringify(address)}] });
       const { hold } = await client.hold("x", { ttlMs: 2000 });
       console.log(hold.state);
       await client[Symbol.asyncDispose]();
       console.log("closed", process.uptime());`,
    );
    const startedMs = hostMs();
    const ended = await home.cli.run([script], { program: [process.execPath] });
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(ended.stdout).toMatch(/^HELD\nclosed/u);
    expect(hostMs() - startedMs).toBeLessThan(5000);
  });
});
