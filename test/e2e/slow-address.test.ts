// A client with two addresses, of which the preferred one is slow rather than dead.

import { createServer, type AddressInfo, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connect, systemClock } from "../../src/index.js";
import type { DaemonProcess } from "../support/cli.js";
import { HoldHome, pause, until } from "../support/hold-cli.js";
import { Proxy, type Passing } from "../support/proxy.js";

const TTL_MS = 10_000;

let home: HoldHome;
let one: DaemonProcess;
let two: DaemonProcess;
beforeAll(async () => {
  home = await HoldHome.make();
  [one, two] = await Promise.all([home.daemon(), home.daemon()]);
});
afterAll(() => home[Symbol.asyncDispose]());

/** Accepts connections and never says a word. */
class Mute implements AsyncDisposable {
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((socket) => {
    this.#sockets.add(socket.on("error", () => undefined));
  });

  static async listen(): Promise<Mute> {
    const mute = new Mute();
    await new Promise<void>((ready) => mute.#server.listen(0, "127.0.0.1", ready));
    return mute;
  }

  get address(): string {
    return `127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((closed) => this.#server.close(closed));
  }
}

const SLOW: readonly (readonly [string, Passing])[] = [
  ["delays everything by 1 s each way", { kind: "late", byMs: 1000 }],
  ["delays everything by 5 s each way", { kind: "late", byMs: 5000 }],
  ["passes nothing on any more", { kind: "frozen" }],
];

describe.each(SLOW)("an address that %s", { concurrent: true }, (name, passing) => {
  test("costs no hold, and is not returned to again and again", async () => {
    await using proxy = await Proxy.open(one.address);
    await using client = connect({ servers: [proxy.address, two.address] });
    const result = await client.hold(name, { ttlMs: TTL_MS });
    if (result.kind !== "granted") throw new Error(result.message);
    const { hold } = result;
    const { token } = hold;
    proxy.pass(passing);
    const spoiltMs = systemClock.monotonicMs();
    await until("it is kept for three ttls", () => {
      expect(hold.isHeld).toBe(true);
      return systemClock.monotonicMs() > spoiltMs + 3 * TTL_MS;
    });
    expect(hold.token).toBe(token);
    // The stream's own; what asks for the lock itself has another.
    expect(proxy.connections).toBeLessThanOrEqual(3);
  });
});

describe("an address that accepts and never answers", { concurrent: true }, () => {
  test("costs a call that does not wait three seconds, and a hold less than its patience", async () => {
    await using mute = await Mute.listen();
    await using client = connect({ servers: [mute.address, two.address] });
    const [got, result] = await Promise.all([
      client.acquire("mute/call", { ttlMs: TTL_MS }),
      client.hold("mute/hold", { ttlMs: TTL_MS }),
    ]);
    expect([got.kind, result.kind]).toEqual(["granted", "granted"]);
  });

  test("does not eat up a long wait: the next address is asked while there is time", async () => {
    await using mute = await Mute.listen();
    await using client = connect({ servers: [mute.address, two.address] });
    const startedMs = systemClock.monotonicMs();
    const got = await client.acquire("mute/wait", { ttlMs: TTL_MS, waitMs: 60_000 });
    expect(got.kind).toBe("granted");
    expect(systemClock.monotonicMs() - startedMs).toBeLessThan(30_000);
  });
});

test("a connection that freezes under a call that waits is found out long before the wait ends", async () => {
  await using proxy = await Proxy.open(one.address);
  await using holder = connect({ servers: [two.address] });
  const held = await holder.hold("frozen/wait", { ttlMs: 60_000 });
  if (held.kind !== "granted") throw new Error(held.message);
  await using client = connect({ servers: [proxy.address, two.address] });
  const startedMs = systemClock.monotonicMs();
  const waiting = client.acquire("frozen/wait", { ttlMs: 60_000, waitMs: 60_000 });
  await pause(1000);
  proxy.freeze();
  await pause(12_000);
  await held.hold.release();
  expect((await waiting).kind).toBe("granted");
  expect(systemClock.monotonicMs() - startedMs).toBeLessThan(45_000);
});
