import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { EtcdServer } from "../../support/servers/etcd.js";
import { ask, holder, missing, open, outcome, take, until } from "./stage.js";

const names = Array.from({ length: 200 }, (_, n) => `r/${String(n)}`);

describe.skipIf(missing !== undefined)("etcd, out of order", () => {
  it("frozen for 4 s: nothing is lost, and what was asked meanwhile is answered", async () => {
    await using server = await EtcdServer.start();
    await using backend = await open(server.address);
    const asks = names.map((name) => ask(name, { ttlMs: 15_000 }));
    await backend.acquire(asks);
    server.freeze();
    const late = backend.renew(asks.map((each) => ({ ...each, ttlMs: undefined })));
    await pause(4000);
    server.thaw();
    const answers = await late;
    expect(answers.every(({ kind }) => kind === "renewed" || kind === "failed")).toBe(true);
    const again = await backend.renew(asks.map((each) => ({ ...each, ttlMs: undefined })));
    expect(again.filter(({ kind }) => kind === "renewed")).toHaveLength(names.length);
  });

  it("frozen for longer than the limit: calls fail in time, and later ones do not", async () => {
    await using server = await EtcdServer.start();
    await using backend = await open(server.address, { timeout: "700ms" });
    const lease = await take(backend, "a", { ttlMs: 30_000 });
    const unwanted = await take(backend, "c", { ttlMs: 30_000 });
    server.freeze();
    for (const call of [
      async () => outcome((await backend.acquire([ask("b")]))[0]),
      async () => outcome((await backend.renew([{ ...lease, ttlMs: undefined }]))[0]),
      async () => outcome((await backend.renew([{ ...lease, ttlMs: 90_000 }]))[0]),
      async () => outcome((await backend.release([unwanted]))[0]),
      async () => await holder(backend, "a").then(String, (error: unknown) => String(error)),
      async () => await backend.check().then(String, (error: unknown) => String(error)),
    ]) {
      const startedMs = performance.now();
      expect(await call()).toMatch(/has not answered within 700 ms: see that it runs/u);
      expect(performance.now() - startedMs).toBeLessThan(4000);
    }
    server.thaw();
    await expect
      .poll(() => holder(backend, "b").then((lease) => lease?.leaseId ?? "free", String))
      .toBe("free");
    expect(outcome((await backend.renew([{ ...lease, ttlMs: undefined }]))[0])).toBe("renewed");
    expect(outcome((await backend.release([lease]))[0])).toBe("released");
    // What had no answer may have been done: that is not known until it is asked for again.
    expect(outcome((await backend.release([unwanted]))[0])).toMatch(/^(released|not-held)$/u);
  });

  it("killed and started again: the same client goes on, with all that was held", async () => {
    await using server = await EtcdServer.start();
    await using backend = await open(server.address);
    const asks = names.map((name) => ask(name, { ttlMs: 15_000 }));
    const grants = await backend.acquire(asks);
    const renewOne = async (): Promise<string> =>
      outcome(
        (await backend.renew(asks.slice(0, 1).map((each) => ({ ...each, ttlMs: undefined }))))[0],
      );
    await server.kill();
    const startedMs = performance.now();
    expect(await renewOne()).toMatch(/etcd at 127\.0\.0\.1:\d+ is not reachable \(.*ECONNREFUSED/u);
    expect(performance.now() - startedMs).toBeLessThan(4000);
    await pause(1000);
    await server.restart();
    await until(async () => (await renewOne()) === "renewed", 5000, "it should be asked again");
    const renewals = await backend.renew(asks.map((each) => ({ ...each, ttlMs: undefined })));
    for (const [n, renewal] of renewals.entries()) {
      const grant = grants[n];
      if (grant?.kind !== "granted" || renewal.kind !== "renewed") throw new Error("lost");
      expect(renewal.lease.token).toBe(grant.lease.token);
    }
    const releases = await backend.release(asks);
    expect(releases.every(({ kind }) => kind === "released")).toBe(true);
  });

  it("closed while the store does not answer: closing comes to an end", async () => {
    await using server = await EtcdServer.start();
    const backend = await open(server.address, { timeout: "1s" });
    await backend.release([await take(backend, "a")]);
    backend.watch?.(() => undefined);
    server.freeze();
    const call = backend.acquire([ask("b")]);
    const startedMs = performance.now();
    await backend[Symbol.asyncDispose]();
    expect(performance.now() - startedMs).toBeLessThan(6000);
    expect((await call)[0]?.kind).toBe("failed");
  });

  it("those who wait hear of expiry, and after a restart that anything may be free", async () => {
    await using server = await EtcdServer.start();
    await using backend = await open(server.address);
    const heard: (string | undefined)[] = [];
    const stop = backend.watch?.((resource) => heard.push(resource));
    await pause(300);
    await take(backend, "over {}/%\0", { ttlMs: 2000 });
    await until(() => heard.includes("over {}/%\0"), 6000, "an end should be heard of");
    expect(heard).not.toContain(undefined);
    await server.restart();
    await until(() => heard.includes(undefined), 8000, "a restart should be heard of");
    const before = heard.length;
    const lease = await take(backend, "again");
    await backend.release([lease]);
    await until(() => heard.slice(before).includes("again"), 2000, "hints should go on");
    stop?.();
  });

  it("full: it says so, keeps what was granted, and releases it", async () => {
    const flags = ["--quota-backend-bytes", String(2 * 1024 * 1024)];
    await using server = await EtcdServer.start({ flags });
    await using backend = await open(server.address);
    const lease = await take(backend, "kept");
    const admin = server.admin();
    const filler = "x".repeat(256 * 1024);
    for (let n = 0; n < 40; n++) {
      const isFull = await admin
        .put(`filler/${String(n)}`)
        .value(filler)
        .then(
          () => false,
          () => true,
        );
      if (isFull) break;
    }
    const full = /has used up its space quota: .*etcdctl alarm disarm; nothing .* is lost$/u;
    expect(outcome((await backend.acquire([ask("new")]))[0])).toMatch(full);
    await expect(backend.check()).rejects.toThrow(full);
    expect((await holder(backend, "kept"))?.token).toBe(lease.token);
    expect(outcome((await backend.release([lease]))[0])).toBe("released");
  });
});
