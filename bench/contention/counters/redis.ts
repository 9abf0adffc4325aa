// Redis counts calls of scripts by itself: each of a daemon's questions is one.

import { Redis } from "ioredis";
import type { OpenCounter } from "./counter.js";

export const openRedisCounter: OpenCounter = async (settings) => {
  const client = new Redis(settings["url"] ?? "", { lazyConnect: true });
  await client.connect();
  return {
    async operations() {
      const stats = await client.info("commandstats");
      const calls = stats.matchAll(/^cmdstat_eval(?:sha)?:calls=(\d+)/gmu);
      return [...calls].reduce((sum, [, count]) => sum + Number(count), 0);
    },
    async [Symbol.asyncDispose]() {
      await client.quit();
    },
  };
};
