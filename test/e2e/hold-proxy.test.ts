// A network that fails the holder in every way: he stops believing in time, and the lock is free
// soon after.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connect, systemClock } from "../../src/index.js";
import type { DaemonProcess } from "../support/cli.js";
import { HoldHome, hostMs, isAlive, until } from "../support/hold-cli.js";
import { Proxy } from "../support/proxy.js";

const TTL_MS = 3000;

let home: HoldHome;
let daemon: DaemonProcess;
beforeAll(async () => {
  home = await HoldHome.make();
  daemon = await home.daemon();
});
afterAll(() => home[Symbol.asyncDispose]());

const SPOILT: readonly (readonly [string, (proxy: Proxy) => void])[] = [
  [
    "freezes",
    (proxy) => {
      proxy.freeze();
    },
  ],
  [
    "delays everything beyond the ttl",
    (proxy) => {
      proxy.pass({ kind: "late", byMs: TTL_MS + 1000 });
    },
  ],
  [
    "is cut, and takes no new connection",
    (proxy) => {
      proxy.freeze();
      proxy.cut();
    },
  ],
  [
    "drips",
    (proxy) => {
      proxy.pass({ kind: "drip", bytes: 1, everyMs: 500 });
    },
  ],
];

describe.each(SPOILT)("a connection that %s", { concurrent: true }, (name, spoil) => {
  test("the client is lost no later than its deadline, and the lock is free in time", async () => {
    await using proxy = await Proxy.open(daemon.address);
    await using direct = connect({ servers: [daemon.address] });
    const client = connect({ servers: [proxy.address] });
    const resource = `client/${name}`;
    const result = await client.hold(resource, { ttlMs: TTL_MS });
    if (result.kind !== "granted") throw new Error(result.message);
    const { hold } = result;
    const lost = new Promise<number>((resolve) => {
      hold.signal.addEventListener("abort", () => {
        resolve(systemClock.monotonicMs());
      });
    });
    const next = direct
      .hold(resource, { ttlMs: TTL_MS })
      .then((granted) => ({ granted, atMs: systemClock.monotonicMs() }));
    spoil(proxy);
    const spoiltMs = systemClock.monotonicMs();
    const lostMs = await lost;
    expect(hold.state).toBe("LOST");
    expect(lostMs - hold.deadlineMs).toBeLessThan(250);
    const { granted, atMs } = await next;
    expect(granted.kind).toBe("granted");
    expect(atMs).toBeGreaterThan(lostMs);
    // No heartbeat has arrived since.
    expect(atMs - spoiltMs).toBeLessThan(TTL_MS + 500);
    await proxy[Symbol.asyncDispose]();
    await client[Symbol.asyncDispose]();
  });

  test("a command is gone before the next one starts, and exits 76", async () => {
    await using proxy = await Proxy.open(daemon.address);
    const resource = `command/${name}`;
    const id = name.replaceAll(/\W/gu, "-");
    const ttl = `${String(TTL_MS)}ms`;
    const one = home.hold(
      resource,
      { ttl, servers: [proxy.address] },
      home.beat(`${id}-1`, 60_000),
    );
    await home.born(`${id}-1`);
    const two = home.hold(resource, { ttl, servers: [daemon.address] }, home.beat(`${id}-2`, 50));
    await two.stderrMatches(/waiting for command/u);
    spoil(proxy);
    const spoiltMs = hostMs();
    expect((await two.ended).code).toBe(0);
    const [first, second] = [home.life(`${id}-1`), home.life(`${id}-2`)];
    expect(second?.firstMs).toBeGreaterThan(first?.lastMs ?? Infinity);
    // The start of a process included.
    expect((second?.firstMs ?? Infinity) - spoiltMs).toBeLessThan(TTL_MS + 2000);
    await until("the first command is dead", () => !isAlive(first?.pid ?? 0));
    const ended = await one.ended;
    expect(ended.code).toBe(76);
    expect(ended.stderr).toMatch(/the lock on command.* was lost or about to be/u);
  });
});
