import { afterAll, beforeAll, describe, it } from "vitest";
import { openRedis } from "../../../src/backends/redis/backend.js";
import { conformance } from "../../../src/conformance.js";
import { systemClock } from "../../../src/system-clock.js";
import { isWithoutRedis, RedisServer } from "../../support/servers/redis.js";
import { leastRights, LEAST_USER, Raw } from "./stage.js";

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
