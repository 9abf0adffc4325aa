import { Redis } from "ioredis";
import type { OpenLimit } from "./limit.js";

// One pipeline for all; with appendfsync always it is durable when it is answered.
export const openRedisLimit: OpenLimit = (settings) => {
  const redis = new Redis(settings["url"] ?? "");
  return Promise.resolve({
    async pairs(names) {
      const make = redis.pipeline();
      for (const name of names) make.set(`bench:${name}`, "id", "PX", 60_000, "NX");
      await make.exec();
      const end = redis.pipeline();
      for (const name of names) end.del(`bench:${name}`);
      await end.exec();
    },
    async [Symbol.asyncDispose]() {
      await redis.quit();
    },
  });
};
