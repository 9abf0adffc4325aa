import { execFile } from "node:child_process";
import { promisify } from "node:util";
import * as grpc from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { startDaemon } from "./support/daemon.js";
import { StockClient } from "./support/stock-client.js";

const run = promisify(execFile);
const { status } = grpc;

describe("a stock grpc-js client, made from the .proto", () => {
  it("takes, renews, looks up and gives back a lock", async () => {
    await using daemon = await startDaemon();
    await using ann = new StockClient(daemon.address);
    const name = { resource: "deploy/prod", lease_id: "a".repeat(32) };

    const taken = await ann.call("acquire", {
      ...name,
      principal: "ann",
      ttl: { seconds: 30 },
      reason: "release 4.2",
      labels: { team: "blue" },
    });
    expect(taken).toMatchObject({
      code: status.OK,
      message: { lease: { ...name, principal: "ann", reason: "release 4.2" } },
    });
    const token = (taken.message["lease"] as { fencing_token: string }).fencing_token;
    expect(BigInt(token)).toBeGreaterThan(0n);

    const renewed = await ann.call("renew", { ...name, ttl: { seconds: 60 } });
    expect(renewed.message["lease"]).toMatchObject({
      fencing_token: token,
      ttl: { seconds: "60" },
    });
    expect((await ann.call("isHeld", name)).message).toEqual({ held: true });
    expect((await ann.call("current", name)).message["lease"]).toMatchObject(name);
    expect((await ann.call("list", { prefix: "deploy/" })).message["leases"]).toMatchObject([
      { resource: "deploy/prod", principal: "ann" },
    ]);

    const released = { outcome: "RELEASE_OUTCOME_RELEASED" };
    expect((await ann.call("release", name)).message).toEqual(released);
    const notHeld = { outcome: "RELEASE_OUTCOME_NOT_HELD" };
    expect((await ann.call("release", name)).message).toEqual(notHeld);
    expect((await ann.call("isHeld", name)).message).toEqual({ held: false });
    expect((await ann.call("current", name)).message["lease"]).toBeFalsy();
  });

  it("is told ALREADY_EXISTS, and who holds it, when a lock is held", async () => {
    await using daemon = await startDaemon();
    await using client = new StockClient(daemon.address);
    await client.call("acquire", { resource: "x", principal: "ann", reason: "release" });

    expect(await client.call("acquire", { resource: "x", principal: "bob" })).toMatchObject({
      code: status.ALREADY_EXISTS,
      reason: "LOCK_HELD",
      holder: "ann",
      details: expect.stringContaining("x is held by ann") as string,
    });
  });

  it("is told ALREADY_EXISTS also when the holder's labels would burst the trailers", async () => {
    await using daemon = await startDaemon();
    await using client = new StockClient(daemon.address);
    const labels = Object.fromEntries(
      Array.from({ length: 32 }, (_, at) => [`label-${String(at)}`, "é".repeat(128)]),
    );
    await client.call("acquire", { resource: "x", principal: "ann", labels });

    expect(await client.call("acquire", { resource: "x" })).toMatchObject({
      code: status.ALREADY_EXISTS,
      reason: "LOCK_HELD",
      holder: "ann",
    });
  });

  it("is told NOT_FOUND when it renews a lease that is gone, or asks with a used id", async () => {
    await using daemon = await startDaemon();
    await using client = new StockClient(daemon.address);
    const name = { resource: "x", lease_id: "used" };
    await client.call("acquire", name);
    await client.call("release", name);

    const lost = { code: status.NOT_FOUND, reason: "LEASE_LOST" };
    expect(await client.call("renew", name)).toMatchObject(lost);
    expect(await client.call("acquire", name)).toMatchObject(lost);
  });

  it("is told field, value and limit when a field is wrong", async () => {
    await using daemon = await startDaemon();
    await using client = new StockClient(daemon.address);
    const wrong = { code: status.INVALID_ARGUMENT, reason: "INVALID_FIELD" };

    const long = await client.call("acquire", { resource: "ä".repeat(101) });
    expect(long).toMatchObject({ ...wrong, field: "resource" });
    expect(long.details).toMatch(/resource "ä+…" has 202 bytes; at most 200/u);
    const ttl = await client.call("acquire", { resource: "x", ttl: { seconds: 0 } });
    expect(ttl).toMatchObject({ ...wrong, field: "ttl" });
    const control = await client.call("acquire", { resource: "a\nb" });
    expect(control).toMatchObject({ ...wrong, field: "resource" });
  });

  it("waits in line, and leaves it when it cancels or its deadline passes", async () => {
    await using daemon = await startDaemon();
    await using client = new StockClient(daemon.address);
    const first = { resource: "x", lease_id: "first" };
    await client.call("acquire", first);
    const wait = { seconds: 30 };

    const impatient = client.begin(
      "acquire",
      { resource: "x", wait },
      { deadline: Date.now() + 200 },
    );
    const leaving = client.begin("acquire", { resource: "x", wait });
    const staying = client.begin("acquire", { resource: "x", lease_id: "third", wait });
    await expect.poll(() => daemon.locks.waiters).toBe(3);
    leaving.cancel();
    expect(await leaving.answer).toMatchObject({ code: status.CANCELLED });
    expect(await impatient.answer).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    await expect.poll(() => daemon.locks.waiters).toBe(1);

    await client.call("release", first);
    expect(await staying.answer).toMatchObject({ code: status.OK });
    expect(daemon.locks.waiters).toBe(0);
  });

  it("no longer stands in line a second after its connection was lost", async () => {
    await using daemon = await startDaemon();
    const dead = new StockClient(daemon.address);
    await dead.call("acquire", { resource: "x" });
    const waiting = dead.begin("acquire", { resource: "x", wait: { seconds: 60 } });
    await expect.poll(() => daemon.locks.waiters).toBe(1);
    await dead[Symbol.asyncDispose]();
    waiting.cancel();
    await expect.poll(() => daemon.locks.waiters, { timeout: 1000 }).toBe(0);
  });
});

describe("what a server says of itself", () => {
  it("is healthy until it drains", async () => {
    await using daemon = await startDaemon();
    const health = await buf(daemon.address, "grpc.health.v1.Health/Check", "{}");
    expect(health).toEqual({ status: "SERVING" });
  });

  it("is unhealthy while its store is, once that has been noticed; but it lives", async () => {
    await using daemon = await startDaemon({
      check: () => Promise.reject(new Error("the disk is gone")),
    });
    const ready = await fetch(`http://${daemon.address}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([503, "the disk is gone\n"]);
    const health = await buf(daemon.address, "grpc.health.v1.Health/Check", "{}");
    expect(health).toEqual({ status: "NOT_SERVING" });
    const liveness = await buf(
      daemon.address,
      "grpc.health.v1.Health/Check",
      '{"service": "liveness"}',
    );
    expect(liveness).toEqual({ status: "SERVING" });
  });

  it("lets a reflecting client find its services and call them without any .proto", async () => {
    await using daemon = await startDaemon();
    const asked = { resource: "deploy", ttl: "30s", principal: "ann" };
    const taken = await buf(
      daemon.address,
      "stormlock.v1.LockService/Acquire",
      JSON.stringify(asked),
    );
    expect(taken).toMatchObject({ lease: { resource: "deploy", principal: "ann", ttl: "30s" } });

    const listed = await run("node_modules/.bin/buf", [
      "curl",
      "--protocol",
      "grpc",
      "--list-services",
      "--http2-prior-knowledge",
      `http://${daemon.address}`,
    ]);
    expect(listed.stdout.split("\n")).toEqual(
      expect.arrayContaining(["grpc.health.v1.Health", "stormlock.v1.LockService"]),
    );
    const methods = await run("node_modules/.bin/buf", [
      "curl",
      "--protocol",
      "grpc",
      "--list-methods",
      "--http2-prior-knowledge",
      `http://${daemon.address}`,
    ]);
    expect(methods.stdout).toContain("stormlock.v1.LockService/IsHeld");
  });
});

async function buf(address: string, method: string, request: string): Promise<unknown> {
  const options = ["--protocol", "grpc", "--http2-prior-knowledge", "--reflect", "-d", request];
  const { stdout } = await run("node_modules/.bin/buf", [
    "curl",
    ...options,
    `http://${address}/${method}`,
  ]);
  return JSON.parse(stdout);
}
