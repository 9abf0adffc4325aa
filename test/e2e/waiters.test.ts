import { createServer, connect as dial, type AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connect } from "../../src/index.js";
import { CliHome, type DaemonProcess } from "../support/cli.js";

let home: CliHome;
let daemon: DaemonProcess;

beforeEach(async () => {
  home = await CliHome.make();
  daemon = await home.daemon();
});
afterEach(() => home[Symbol.asyncDispose]());

async function waiting(): Promise<number> {
  const metrics = await (await fetch(`http://${daemon.address}/metrics`)).text();
  return Number(/^stormlock_waiters (\d+)$/mu.exec(metrics)?.[1] ?? NaN);
}

async function untilWaiting(count: number, withinMs: number): Promise<void> {
  const endMs = performance.now() + withinMs;
  while ((await waiting()) !== count) {
    if (performance.now() > endMs)
      throw new Error(`${String(await waiting())} wait, not ${String(count)}`);
    await pause(20);
  }
}

describe("callers who wait for one resource at a real daemon", () => {
  it("are served in the order in which they came, and one who leaves the middle delays nobody", async () => {
    await using locks = connect({ servers: [daemon.address] });
    const first = await locks.acquire("x", { ttlMs: 30_000 });
    if (first.kind !== "granted") throw new Error("not granted");
    const served: number[] = [];
    const leave = new AbortController();
    const waits = [];
    for (let index = 0; index < 50; index++) {
      const signal = index === 25 ? { signal: leave.signal } : {};
      waits.push(
        locks.acquire("x", { ttlMs: 30_000, waitMs: 60_000, ...signal }).then(
          async (got) => {
            if (got.kind !== "granted") throw new Error(got.message);
            served.push(index);
            await locks.release("x", got.lease.leaseId);
          },
          () => served.push(-index),
        ),
      );
      await untilWaiting(index + 1, 5000);
    }
    leave.abort();
    await untilWaiting(49, 1000);
    const releasedAtMs = performance.now();
    await locks.release("x", first.lease.leaseId);
    await Promise.all(waits);
    expect(served).toEqual([
      -25,
      ...Array.from({ length: 50 }, (_, index) => index).filter((index) => index !== 25),
    ]);
    // Nobody waited for the one who left: he would have held for 30 s.
    expect(performance.now() - releasedAtMs).toBeLessThan(10_000);
  });

  it("whose process dies are gone within a second", async () => {
    await using locks = connect({ servers: [daemon.address] });
    const first = await locks.acquire("x", { ttlMs: 30_000 });
    if (first.kind !== "granted") throw new Error("not granted");
    const doomed = home.start(["acquire", "x", "-w", "1m", "--server", daemon.address]);
    await untilWaiting(1, 5000);
    const next = locks.acquire("x", { ttlMs: 30_000, waitMs: 30_000 });
    await untilWaiting(2, 5000);
    doomed.kill("SIGKILL");
    await untilWaiting(1, 1000);
    await locks.release("x", first.lease.leaseId);
    expect((await next).kind).toBe("granted");
  });

  it("a lost answer neither grants twice nor blocks the caller by itself", async () => {
    // The daemon gets the request and carries it out; the connection is cut before the answer.
    const [host = "", port = ""] = daemon.address.split(":");
    let cuts = 0;
    const proxy = createServer((client) => {
      const daemonSide = dial(Number(port), host);
      let answers = 0;
      client.pipe(daemonSide);
      daemonSide.on("data", (chunk) => {
        answers += chunk.length;
        // The settings frames pass; the first answer does not.
        if (cuts < 2 && answers > 100) {
          cuts += 1;
          client.destroy();
          daemonSide.destroy();
        } else client.write(chunk);
      });
      for (const socket of [client, daemonSide]) {
        socket.on("error", () => undefined);
        socket.on("close", () => {
          client.destroy();
          daemonSide.destroy();
        });
      }
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const address = `127.0.0.1:${String((proxy.address() as AddressInfo).port)}`;
    try {
      await using locks = connect({ servers: [address] });
      const got = await locks.acquire("x", { ttlMs: 30_000 });
      expect(cuts).toBeGreaterThan(0);
      if (got.kind !== "granted") throw new Error(got.message);
      // The one and only lease, by the id that was asked for each time.
      await using direct = connect({ servers: [daemon.address] });
      expect((await direct.current("x"))?.token).toBe(got.lease.token);
      expect((await direct.acquire("x")).kind).toBe("held");
      expect(await locks.release("x", got.lease.leaseId)).toBe("released");
      expect((await direct.acquire("x")).kind).toBe("granted");
    } finally {
      proxy.close();
    }
  });
});
