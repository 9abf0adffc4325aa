import { get } from "node:http";
import * as grpc from "@grpc/grpc-js";
import { service as healthService } from "grpc-health-check";
import { describe, expect, it } from "vitest";
import { startDaemon } from "./support/daemon.js";
import { callHeaders, END_HEADERS, frame, FRAME, PREFACE, Raw } from "./support/raw.js";
import { StockClient } from "./support/stock-client.js";

const { status } = grpc;

describe("a daemon that drains", () => {
  it("sends waiters of both doors elsewhere, releases nothing, and is gone at once", async () => {
    const daemon = await startDaemon();
    await using client = new StockClient(daemon.address);
    const name = { resource: "x", lease_id: "holder" };
    await client.call("acquire", name);
    const waiting = client.call("acquire", { resource: "x", wait: { seconds: 60 } });
    const waitingWeb = fetch(`http://${daemon.address}/stormlock.v1.LockService/Acquire`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ resource: "x", wait: "60s" }),
    });
    await expect.poll(() => daemon.locks.waiters).toBe(2);

    const startedAt = performance.now();
    await daemon.server.drain();
    expect(performance.now() - startedAt).toBeLessThan(3000);
    expect(await waiting).toMatchObject({ code: status.UNAVAILABLE, reason: "UNAVAILABLE" });
    expect((await waitingWeb).status).toBe(503);
    expect(await daemon.locks.isHeld({ resource: "x", leaseId: "holder" })).toBe(true);
    expect(await client.call("current", { resource: "x" })).toMatchObject({
      code: status.UNAVAILABLE,
    });
  });

  it("finishes what runs, and meanwhile says that it is not ready and takes nothing new", async () => {
    let goOn: () => void = () => undefined;
    const slow = new Promise<void>((resolve) => (goOn = resolve));
    const daemon = await startDaemon();
    // A call that takes as long as the test likes: the store answers when told to.
    const current = daemon.locks.current.bind(daemon.locks);
    daemon.locks.current = async (resource) => {
      await slow;
      return current(resource);
    };
    await using client = new StockClient(daemon.address);
    const Health = grpc.makeGenericClientConstructor(healthService, "Health");
    const health = new Health(daemon.address, grpc.credentials.createInsecure());
    const seen: unknown[] = [];
    const watch = health["watch"]?.({ service: "" }) as grpc.ClientReadableStream<{
      status: unknown;
    }>;
    watch.on("data", (message: { status: unknown }) => seen.push(message.status));
    watch.on("error", () => undefined);
    await expect.poll(() => seen).toEqual(["SERVING"]);
    const running = client.call("current", { resource: "x" });
    await expect
      .poll(async () => (await page(daemon.port, "/metrics"))[1])
      .toContain("in_flight 2");

    const drained = daemon.server.drain(5000);
    expect(await page(daemon.port, "/readyz")).toEqual([
      503,
      "draining: this daemon is about to stop\n",
    ]);
    expect((await page(daemon.port, "/healthz"))[0]).toBe(200);
    const refused = await client.call("acquire", { resource: "y" });
    expect(refused).toMatchObject({ code: status.UNAVAILABLE, reason: "UNAVAILABLE" });
    await expect.poll(() => seen).toEqual(["SERVING", "NOT_SERVING"]);

    goOn();
    expect(await running).toMatchObject({ code: status.OK });
    await drained;
    health.close();
  });

  it("does not wait for requests that are not complete", async () => {
    const daemon = await startDaemon();
    await using half = new Raw(daemon.port);
    await half.send(PREFACE, frame(FRAME.headers, END_HEADERS, 1, callHeaders("Acquire")));
    await using slow = new Raw(daemon.port);
    await slow.send("POST /stormlock.v1.LockService/Acquire HTTP/1.1\r\nHost: localhost\r\n");
    await slow.send("content-length: 9\r\n\r\n{");
    await expect
      .poll(async () => (await page(daemon.port, "/metrics"))[1])
      .toContain("in_flight 2");
    const startedAt = performance.now();
    await daemon.server.drain();
    expect(performance.now() - startedAt).toBeLessThan(3000);
  });

  it("is gone in time whatever clients do", { timeout: 20_000 }, async () => {
    const daemon = await startDaemon();
    daemon.locks.current = () => new Promise(() => undefined); // never answers
    await using client = new StockClient(daemon.address);
    const stuck = client.call("current", { resource: "x" });
    await using silent = new Raw(daemon.port);
    await using half = new Raw(daemon.port);
    await half.send(PREFACE, frame(FRAME.headers, END_HEADERS, 1, callHeaders("Acquire")));
    await using slow = new Raw(daemon.port);
    await slow.send("POST /stormlock.v1.LockService/Acquire HTTP/1.1\r\nHost: localhost\r\n");
    await expect
      .poll(async () => (await page(daemon.port, "/metrics"))[1])
      .toContain("in_flight 2");

    const startedAt = performance.now();
    await daemon.server.drain(3000);
    expect(performance.now() - startedAt).toBeGreaterThan(2000);
    expect(performance.now() - startedAt).toBeLessThan(4000);
    expect((await stuck).code).not.toBe(status.OK);
    await Promise.all([silent.closed, half.closed, slow.closed]);
    await expect(fetch(`http://${daemon.address}/healthz`)).rejects.toThrow();
  });
});

function page(port: number, path: string): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    get({ port, host: "127.0.0.1", path, agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => {
        resolve([response.statusCode ?? 0, text]);
      });
    }).on("error", reject);
  });
}
