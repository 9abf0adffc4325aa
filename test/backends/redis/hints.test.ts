import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { isWithoutRedis, RedisServer } from "../../support/servers/redis.js";
import { ask, holder, LEAST_USER, leastRights, open, Raw, take, until } from "./stage.js";

describe.skipIf(isWithoutRedis)("hints from redis", () => {
  it("name the resource that another client has released, and come at once", async () => {
    await using server = await RedisServer.start({ config: [leastRights("stormlock")] });
    await using ours = await open({ url: server.url, ...LEAST_USER });
    await using theirs = await open(server.url);
    const heard: (string | undefined)[] = [];
    ours.watch?.((resource) => heard.push(resource));
    await until(() => heard.length > 0, "listening should have begun");
    expect(heard).toEqual([undefined]); // What was released before that was not heard of.

    const names = ["deploy/ünïcode 😀", "a\0b\n", "{x}"];
    await theirs.acquire(names.map((name) => ask(name)));
    const leases = await Promise.all(names.map((name) => holder(theirs, name)));
    const startedMs = performance.now();
    await theirs.release(leases.filter((one) => one !== undefined));
    await until(() => heard.length === 4, "all should have been heard of");
    expect(performance.now() - startedMs).toBeLessThan(4000);
    expect(heard.slice(1)).toEqual(names);
  });

  it("are not given for what was not released", async () => {
    await using server = await RedisServer.start();
    await using ours = await open(server.url);
    await using theirs = await open(server.url);
    const heard: (string | undefined)[] = [];
    ours.watch?.((resource) => heard.push(resource));
    await until(() => heard.length === 1, "listening should have begun");
    const lease = await take(theirs, "x");
    await theirs.renew([{ ...lease, ttlMs: undefined }]);
    await theirs.release([{ ...lease, leaseId: "another" }]);
    await theirs.release([{ ...lease, ifRevision: 1n }]);
    await theirs.check();
    await pause(200);
    expect(heard).toEqual([undefined]);
  });

  it("come again after their connection was cut, and begin with: anything may be free", async () => {
    await using server = await RedisServer.start();
    await using ours = await open(server.url);
    await using theirs = await open(server.url);
    await using raw = new Raw(server.port);
    const heard: (string | undefined)[] = [];
    ours.watch?.((resource) => heard.push(resource));
    await until(() => heard.length === 1, "listening should have begun");
    await raw.redis.call("CLIENT", "KILL", "TYPE", "pubsub");
    await until(() => heard.length === 2, "listening should begin again");
    expect(heard).toEqual([undefined, undefined]);
    await theirs.release([await take(theirs, "x")]);
    await until(() => heard.at(-1) === "x", "the release should have been heard of");
  });

  it("come again after the server was away", async () => {
    await using server = await RedisServer.start();
    await using ours = await open(server.url);
    const heard: (string | undefined)[] = [];
    const stop = ours.watch?.((resource) => heard.push(resource));
    await until(() => heard.length === 1, "listening should have begun");
    await server.stop("SIGKILL");
    await pause(1000);
    await server.start();
    await until(() => heard.length === 2, "listening should begin again");
    await using theirs = await open(server.url);
    await theirs.release([await take(theirs, "x")]);
    await until(() => heard.at(-1) === "x", "the release should have been heard of");
    stop?.();
  });

  it("cost a connection only while somebody listens", async () => {
    await using server = await RedisServer.start();
    await using ours = await open(server.url);
    await using raw = new Raw(server.port);
    const listening = async (): Promise<number> => {
      const list = String(await raw.redis.call("CLIENT", "LIST", "TYPE", "pubsub")).trim();
      return list === "" ? 0 : list.split("\n").length;
    };
    expect(await listening()).toBe(0);
    const stops = [1, 2].map(() => ours.watch?.(() => undefined));
    await until(async () => (await listening()) === 1, "one connection should listen");
    stops[0]?.();
    stops[0]?.();
    await pause(100);
    expect(await listening()).toBe(1);
    stops[1]?.();
    await until(async () => (await listening()) === 0, "none should listen");
    const again = ours.watch?.(() => undefined);
    await until(async () => (await listening()) === 1, "one connection should listen again");
    again?.();
  });
});
