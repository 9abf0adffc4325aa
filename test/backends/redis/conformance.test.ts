import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openRedis } from "../../../src/backends/redis/backend.js";
import { conformance } from "../../../src/conformance.js";
import { systemClock } from "../../../src/system-clock.js";
import { isWithoutRedis, RedisServer } from "../../support/servers/redis.js";
import { temporaryDirectory } from "../support/temporary.js";
import { ask, leastRights, LEAST_USER, open, Raw, take, until } from "./stage.js";

describe.skipIf(isWithoutRedis)("redis, a user with the least rights", () => {
  let server: RedisServer;

  beforeAll(async () => {
    server = await RedisServer.start({ config: [leastRights("stormlock")] });
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  conformance({
    runner: { describe, it },
    operations: ["handOver", "watch"],
    open: () => openRedis({ url: server.url, ...LEAST_USER }, { clock: systemClock }),
    spoil: async (resource) => {
      const key = `{stormlock}:lease:${resource}`;
      await using raw = new Raw(server.port);
      await raw.redis.set(key, "of another program");
      return async () => {
        await using again = new Raw(server.port);
        await again.redis.del(key);
      };
    },
  });
});

describe.skipIf(isWithoutRedis)("redis, over a unix socket", () => {
  it("grants, hears of releases, and says in one line that it has gone", async () => {
    await using folder = await temporaryDirectory();
    const path = join(folder.path, "redis at work.sock");
    await using server = await RedisServer.start({ config: [`unixsocket "${path}"`] });
    await using ours = await open(`unix://${encodeURI(path)}?db=1`);
    await using overTcp = await open(`${server.url}/1`);
    const heard: (string | undefined)[] = [];
    ours.watch?.((resource) => heard.push(resource));
    await until(() => heard.length > 0, "listening should have begun");
    await ours.check();
    const lease = await take(ours, "x");
    expect((await overTcp.acquire([ask("x")]))[0]?.kind).toBe("held");
    expect((await ours.renew([{ ...lease, ttlMs: undefined }]))[0]?.kind).toBe("renewed");
    expect(await overTcp.release([lease])).toEqual([{ kind: "released" }]);
    await until(() => heard.includes("x"), "the release should have been heard of");
    await server.stop("SIGKILL");
    await expect(ours.check()).rejects.toMatchObject({
      kind: "unavailable",
      message: expect.stringContaining(path) as string,
    });
  });
});
