import { request as httpRequest } from "node:http";
import { fromBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/status_pb.js";
import { LockHeldSchema, LockService } from "../../src/gen/stormlock/v1/lock_pb.js";
import { startDaemon } from "./support/daemon.js";
import { Raw } from "./support/raw.js";

interface Reply {
  readonly status: number;
  readonly json: Readonly<Record<string, unknown>>;
}

async function post(
  address: string,
  method: string,
  message: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<Reply> {
  const response = await fetch(`http://${address}/stormlock.v1.LockService/${method}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(message),
  });
  return { status: response.status, json: (await response.json()) as Reply["json"] };
}

// fetch sets some headers itself.
function send(port: number, path: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = httpRequest(
      { port, host: "127.0.0.1", path, headers, method: "POST" },
      (reply) => {
        reply.resume();
        resolve(reply.statusCode ?? 0);
      },
    );
    asked.on("error", reject);
    asked.end("{}");
  });
}

const CURRENT = "/stormlock.v1.LockService/Current";

describe("JSON over HTTP/1.1, as curl speaks it", () => {
  it("takes, renews, looks up and gives back a lock", async () => {
    await using daemon = await startDaemon();
    const { address } = daemon;
    const taken = await post(address, "Acquire", {
      resource: "deploy",
      principal: "ann",
      ttl: "30s",
    });
    expect(taken).toMatchObject({
      status: 200,
      json: { lease: { resource: "deploy", ttl: "30s" } },
    });
    const { leaseId, fencingToken } = taken.json["lease"] as Record<string, string>;
    const name = { resource: "deploy", leaseId };

    expect((await post(address, "Renew", name)).json["lease"]).toMatchObject({ fencingToken });
    expect((await post(address, "IsHeld", name)).json).toEqual({ held: true });
    expect((await post(address, "List", {})).json["leases"]).toMatchObject([{ principal: "ann" }]);
    const released = { outcome: "RELEASE_OUTCOME_RELEASED" };
    expect((await post(address, "Release", name)).json).toEqual(released);
    expect((await post(address, "Current", name)).json).toEqual({});
  });

  it("answers 409 with the holder when a lock is held", async () => {
    await using daemon = await startDaemon();
    await post(daemon.address, "Acquire", { resource: "x", principal: "ann" });
    const { status, json } = await post(daemon.address, "Acquire", { resource: "x" });

    expect(status).toBe(409);
    expect(json).toMatchObject({
      code: "already_exists",
      message: expect.stringMatching(/^x is held by ann/u) as string,
    });
    const [info, held] = json["details"] as { type: string; value: string; debug: object }[];
    expect(info?.type).toBe("google.rpc.ErrorInfo");
    const reason = fromBinary(ErrorInfoSchema, Buffer.from(info?.value ?? "", "base64"));
    expect(reason).toMatchObject({ reason: "LOCK_HELD", domain: "stormlock" });
    const holder = fromBinary(LockHeldSchema, Buffer.from(held?.value ?? "", "base64"));
    expect(holder.holder).toMatchObject({ principal: "ann", leaseId: "" });
    expect(held?.debug).toMatchObject({ holder: { principal: "ann" } });
  });

  it("looks up by GET, and takes nothing by it", async () => {
    await using daemon = await startDaemon();
    await post(daemon.address, "Acquire", { resource: "x", principal: "ann" });
    const query = `connect=v1&encoding=json&message=${encodeURIComponent('{"resource":"x"}')}`;
    const url = (method: string): string =>
      `http://${daemon.address}/stormlock.v1.LockService/${method}?${query}`;

    const current = await fetch(url("Current"));
    expect(await current.json()).toMatchObject({ lease: { principal: "ann" } });
    for (const method of ["Acquire", "Release", "IsHeld"]) {
      expect((await fetch(url(method))).status).toBe(405);
    }
  });

  it("says 400 to a wrong field and to broken JSON, 404 to a lost lease", async () => {
    await using daemon = await startDaemon();
    const wrong = await post(daemon.address, "Acquire", { resource: "" });
    expect(wrong).toMatchObject({ status: 400, json: { code: "invalid_argument" } });
    const broken = await fetch(`http://${daemon.address}${CURRENT}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"resource":',
    });
    expect(broken.status).toBe(400);
    const lost = await post(daemon.address, "Renew", { resource: "x", leaseId: "none" });
    expect(lost).toMatchObject({ status: 404, json: { code: "not_found" } });
  });

  it("leaves the line when the caller hangs up, and when its time is over", async () => {
    await using daemon = await startDaemon();
    await post(daemon.address, "Acquire", { resource: "x" });
    const leave = new AbortController();
    const waiting = fetch(`http://${daemon.address}/stormlock.v1.LockService/Acquire`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ resource: "x", wait: "60s" }),
      signal: leave.signal,
    });
    const late = post(
      daemon.address,
      "Acquire",
      { resource: "x", wait: "60s" },
      { "connect-timeout-ms": "300" },
    );
    await expect.poll(() => daemon.locks.waiters).toBe(2);
    leave.abort();
    await expect(waiting).rejects.toThrow();
    expect(await late).toMatchObject({ status: 504, json: { code: "deadline_exceeded" } });
    await expect.poll(() => daemon.locks.waiters).toBe(0);
  });
});

describe("Connect and gRPC-Web clients", () => {
  it.each([
    ["Connect", createConnectTransport],
    ["gRPC-Web", createGrpcWebTransport],
  ])("%s takes a lock, and is told that it is held", async (_name, transport) => {
    await using daemon = await startDaemon();
    const baseUrl = `http://${daemon.address}`;
    const client = createClient(LockService, transport({ baseUrl, httpVersion: "1.1" }));
    const { lease } = await client.acquire({ resource: "x", principal: "ann" });
    expect(lease?.principal).toBe("ann");
    const again = client.acquire({ resource: "x" });
    await expect(again).rejects.toMatchObject({ code: 6 });
    const held = await again.catch((error: unknown) =>
      (error as { findDetails(schema: typeof LockHeldSchema): { holder?: object }[] }).findDetails(
        LockHeldSchema,
      ),
    );
    expect(held).toMatchObject([{ holder: { principal: "ann" } }]);
  });
});

describe("pages", () => {
  it("tells life, readiness and numbers", async () => {
    await using daemon = await startDaemon();
    await post(daemon.address, "Acquire", { resource: "x" });
    await post(daemon.address, "Acquire", { resource: "x" });
    await post(daemon.address, "Renew", { resource: "y", leaseId: "none" });
    const page = async (path: string): Promise<[number, string]> => {
      const response = await fetch(`http://${daemon.address}${path}`);
      return [response.status, await response.text()];
    };

    expect(await page("/healthz")).toEqual([200, "alive\n"]);
    expect(await page("/readyz")).toEqual([200, "ready\n"]);
    const [status, metrics] = await page("/metrics");
    expect(status).toBe(200);
    for (const line of [
      'stormlock_calls_total{method="/stormlock.v1.LockService/Acquire",code="OK"} 1',
      'stormlock_calls_total{method="/stormlock.v1.LockService/Acquire",code="ALREADY_EXISTS"} 1',
      'stormlock_call_seconds_count{method="/stormlock.v1.LockService/Renew"} 1',
      "stormlock_leases_granted_total 1",
      "stormlock_leases_held_total 1",
      "stormlock_leases_lost_total 1",
      "stormlock_waiters 0",
      "stormlock_calls_in_flight 0",
    ]) {
      expect(metrics).toContain(`${line}\n`);
    }
    expect(metrics).toMatch(/^nodejs_eventloop_lag_p99_seconds /mu);
    expect(metrics).toMatch(/^process_resident_memory_bytes /mu);
    const [missing, hint] = await page("/nothing");
    expect(missing).toBe(404);
    expect(hint).toContain("/stormlock.v1.LockService/");
  });

  it("answers a client that ends its side as soon as it has asked", async () => {
    await using daemon = await startDaemon();
    await using client = new Raw(daemon.port);
    client.socket.end("GET /healthz HTTP/1.0\r\n\r\n");
    await client.closed;
    expect(client.text).toMatch(/^HTTP\/1\.1 200 OK[^]*\r\n\r\nalive\n$/u);
  });
});

describe("a page in somebody's browser", () => {
  it("of another site can neither take nor look up a lock", async () => {
    await using daemon = await startDaemon();
    const json = { "content-type": "application/json" };
    const origins: Record<string, string>[] = [
      { origin: "https://evil.example" },
      { origin: "null" },
      { origin: "http://localhost:3000" },
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
    ];
    for (const headers of origins) {
      expect(await send(daemon.port, CURRENT, { ...json, ...headers })).toBe(403);
    }
    // What a page may send to another site without asking first.
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
      expect(await send(daemon.port, CURRENT, { "content-type": type })).toBe(415);
    }
    const preflight = await fetch(`http://${daemon.address}${CURRENT}`, { method: "OPTIONS" });
    expect(preflight.ok).toBe(false);
    expect(preflight.headers.get("access-control-allow-origin")).toBeNull();
  });

  it("of our own site, or none, may", async () => {
    await using daemon = await startDaemon();
    const json = { "content-type": "application/json" };
    const own = {
      origin: `http://127.0.0.1:${String(daemon.port)}`,
      "sec-fetch-site": "same-origin",
    };
    expect(await send(daemon.port, CURRENT, { ...json, ...own })).not.toBe(403);
    expect(await send(daemon.port, CURRENT, { ...json, "sec-fetch-site": "none" })).not.toBe(403);
  });

  it("cannot reach a loopback address under a name of its own", async () => {
    await using daemon = await startDaemon();
    const json = { "content-type": "application/json" };
    for (const host of [
      "evil.example",
      "evil.example:7420",
      "10.0.0.1:7420",
      "127.0.0.1.evil.example",
    ]) {
      expect(await send(daemon.port, CURRENT, { ...json, host })).toBe(403);
    }
    for (const host of [
      "localhost",
      "LOCALHOST:7420",
      "127.0.0.1",
      "[::1]:7420",
      "locks.localhost",
    ]) {
      expect(await send(daemon.port, CURRENT, { ...json, host })).toBe(400); // no resource: it got through
    }
  });
});
