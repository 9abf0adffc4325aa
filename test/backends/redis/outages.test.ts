import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { Backend } from "../../../src/lock/backend.js";
import { Proxy } from "../../support/proxy.js";
import { isWithoutRedis, RedisServer } from "../../support/servers/redis.js";
import { LossyProxy } from "./lossy-proxy.js";
import { ask, holder, open, Raw, take, until } from "./stage.js";

const LOST = /^the connection to redis .* was lost/u;

describe.skipIf(isWithoutRedis)("an answer of redis that is lost", () => {
  it("to an acquire: asking again finds the lease, and nobody else got it", async () => {
    await using server = await RedisServer.start();
    await using proxy = await LossyProxy.open(server.port);
    await using ours = await open(proxy.url);
    await using theirs = await open(server.url);
    const asked = ask("x");
    proxy.loseNextAnswer();
    await expect(ours.acquire([asked])).rejects.toThrow(LOST);
    const [refused] = await theirs.acquire([ask("x")]);
    expect(refused?.kind).toBe("held");
    const [found] = await ours.acquire([asked]);
    expect(found).toMatchObject({ kind: "granted", created: false });
    expect((await holder(theirs, "x"))?.leaseId).toBe(asked.leaseId);
    expect(proxy.lost).toBe(1);
  });

  it("to a renewal: the lease has been extended, and is extended again", async () => {
    await using server = await RedisServer.start();
    await using proxy = await LossyProxy.open(server.port);
    await using backend = await open(proxy.url);
    const lease = await take(backend, "x", { ttlMs: 1000 });
    proxy.loseNextAnswer();
    await expect(backend.renew([{ ...lease, ttlMs: 60_000 }])).rejects.toThrow(LOST);
    await pause(1100);
    const [renewed] = await backend.renew([{ ...lease, ttlMs: 60_000 }]);
    expect(renewed?.kind === "renewed" && renewed.lease.token).toBe(lease.token);
  });

  it("to a release: the lock is free, and releasing again does no harm to the next holder", async () => {
    await using server = await RedisServer.start();
    await using proxy = await LossyProxy.open(server.port);
    await using ours = await open(proxy.url);
    await using theirs = await open(server.url);
    const lease = await take(ours, "x");
    proxy.loseNextAnswer();
    await expect(ours.release([lease])).rejects.toThrow(LOST);
    const next = await take(theirs, "x");
    expect((await ours.release([lease]))[0]?.kind).toBe("not-held");
    expect((await holder(theirs, "x"))?.leaseId).toBe(next.leaseId);
  });

  it("is not made up for behind our back: what was under way is not sent again", async () => {
    await using server = await RedisServer.start();
    await using proxy = await LossyProxy.open(server.port);
    await using backend = await open(proxy.url);
    await using raw = new Raw(server.port);
    const lease = await take(backend, "x");
    proxy.loseNextAnswer();
    await expect(backend.renew([{ ...lease, ttlMs: undefined }])).rejects.toThrow(LOST);
    const before = (await raw.row("x"))["rev"];
    expect(before).toBe(String(lease.revision + 1n));
    expect(await holder(backend, "x")).toBeDefined(); // Over a new connection.
    await pause(200);
    expect((await raw.row("x"))["rev"]).toBe(before);
  });
});

describe.skipIf(isWithoutRedis)("a redis that is away for a while", () => {
  it("frozen: every question settles within the time limit, and none is lost when it goes on", async () => {
    await using server = await RedisServer.start();
    await using backend = await open({ url: server.url, timeout: "1s" });
    const leases = await takeMany(backend, 200);
    server.freeze();
    const startedMs = performance.now();
    const failures = await Promise.allSettled([
      backend.renew(leases.map((lease) => ({ ...lease, ttlMs: undefined }))),
      backend.acquire([ask("other")]),
      backend.current(["x/0"]),
      backend.list({ prefix: "", after: undefined, limit: 10 }),
      backend.check(),
    ]);
    expect(performance.now() - startedMs).toBeLessThan(4000);
    for (const failure of failures) {
      expect(failure.status).toBe("rejected");
      expect((failure as PromiseRejectedResult).reason).toMatchObject({ kind: "unavailable" });
      expect(String((failure as PromiseRejectedResult).reason)).toMatch(
        /has not answered within 1s/u,
      );
    }
    await pause(2500);
    server.goOn();
    await stillHeld(backend, leases);
  });

  it("frozen: one who is closed meanwhile waits no longer than the time limit", async () => {
    await using server = await RedisServer.start();
    const backend = await open({ url: server.url, timeout: "500ms" });
    server.freeze();
    const call = expect(backend.acquire([ask("x")])).rejects.toThrow(/within 500ms/u);
    const startedMs = performance.now();
    await backend[Symbol.asyncDispose]();
    await call;
    expect(performance.now() - startedMs).toBeLessThan(4000);
    server.goOn();
  });

  it("cut off unnoticed: that costs one time limit, and the next question a connection", async () => {
    await using server = await RedisServer.start();
    await using proxy = await Proxy.open(server.address);
    await using backend = await open({ url: `redis://${proxy.address}`, timeout: "500ms" });
    const lease = await take(backend, "x");
    proxy.freezeOpen();
    await expect(backend.current(["x"])).rejects.toThrow(/has not answered within 500ms/u);
    expect((await holder(backend, "x"))?.token).toBe(lease.token);
    expect(proxy.connections).toBe(2);
  });

  it("ended: questions fail at once, and the next one after its return is answered", async () => {
    await using server = await RedisServer.start({ isDurable: true });
    await using backend = await open(server.url);
    const leases = await takeMany(backend, 200);
    for (const signal of ["SIGKILL", "SIGTERM"] as const) {
      await server.stop(signal);
      const startedMs = performance.now();
      await expect(backend.current(["x/0"])).rejects.toThrow(
        /^(redis .* cannot be reached: nothing listens|the connection to)/u,
      );
      await expect(backend.acquire([ask("y")])).rejects.toThrow(
        /^redis .* cannot be reached: nothing listens/u,
      );
      expect(performance.now() - startedMs).toBeLessThan(4000);
      await pause(1000);
      await server.start();
      await stillHeld(backend, leases);
    }
  });

  it("that has forgotten its scripts is told them again", async () => {
    await using server = await RedisServer.start();
    await using backend = await open(server.url);
    await using raw = new Raw(server.port);
    const lease = await take(backend, "x");
    const uses: (() => Promise<unknown>)[] = [
      () => backend.renew([{ ...lease, ttlMs: undefined }]),
      () => backend.current(["x"]),
      () => backend.list({ prefix: "", after: undefined, limit: 1 }),
      () => backend.check(),
      () => Promise.all([take(backend, "y"), take(backend, "z")]),
      () => backend.release([lease]),
    ];
    for (const use of uses) {
      await raw.redis.script("FLUSH");
      await use();
    }
    expect(await holder(backend, "x")).toBeUndefined();
    expect(await holder(backend, "y")).toBeDefined();
  });

  it("whose connections were all cut is connected to by the next question", async () => {
    await using server = await RedisServer.start();
    await using backend = await open(server.url);
    await using raw = new Raw(server.port);
    const lease = await take(backend, "x");
    for (let round = 0; round < 5; round++) {
      await raw.redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
      await until(
        () =>
          holder(backend, "x").then(
            (found) => found?.token === lease.token,
            () => false,
          ),
        "it should be connected again",
        2000,
      );
    }
    // And over one connection, not over a new one each time.
    const clients = String(await raw.redis.call("CLIENT", "LIST", "TYPE", "normal"));
    expect(clients.trim().split("\n").length).toBeLessThanOrEqual(2);
  });

  it("leaves no connection behind when it is closed", async () => {
    await using server = await RedisServer.start();
    await using raw = new Raw(server.port);
    for (let round = 0; round < 3; round++) {
      await using backend = await open(server.url);
      const stop = backend.watch?.(() => undefined);
      await take(backend, `x/${String(round)}`);
      stop?.();
    }
    await until(async () => {
      const all = String(await raw.redis.client("LIST"));
      return all.trim().split("\n").length === 1;
    }, "only ours should be left");
  });
});

async function takeMany(backend: Backend, count: number) {
  const asks = Array.from({ length: count }, (_, n) => ask(`x/${String(n)}`, { ttlMs: 15_000 }));
  const answers = await backend.acquire(asks);
  return answers.map((answer) => {
    if (answer.kind !== "granted") throw new Error(answer.kind);
    return answer.lease;
  });
}

async function stillHeld(
  backend: Backend,
  leases: Awaited<ReturnType<typeof takeMany>>,
): Promise<void> {
  const asks = leases.map((lease) => ({ ...lease, ttlMs: undefined }));
  let renewals: Awaited<ReturnType<Backend["renew"]>> = [];
  await until(
    async () => {
      renewals = await backend.renew(asks).catch(() => []);
      return renewals.length > 0;
    },
    "it should answer again",
    5000,
  );
  for (const [index, renewal] of renewals.entries()) {
    expect(renewal.kind === "renewed" && renewal.lease.token).toBe(leases[index]?.token);
  }
}
