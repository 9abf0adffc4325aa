// Pairs as libraries do them with one Redis: SET NX PX, and a script that deletes what is still
// one's own. No queue, no fencing token.
//
//   node redis.js '{"url": "redis://127.0.0.1:6379", "connections": 8, "inFlight": 64, …}'

import { randomBytes } from "node:crypto";
import { Redis } from "ioredis";
import { measurePairs, type Pair, type PairsOrder } from "../pairs.js";

/** What to do. */
export interface RedisOrder extends PairsOrder {
  readonly url: string;
  readonly connections: number;
}

const TTL_MS = 60_000;
const RELEASE =
  "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0";

const order = JSON.parse(process.argv[2] ?? "{}") as RedisOrder;
const clients = Array.from({ length: order.connections }, () => new Redis(order.url));
const sha = String(await clients[0]?.script("LOAD", RELEASE));
const report = await measurePairs(order, (worker): Promise<Pair> => {
  const redis = clients[worker % clients.length];
  if (redis === undefined) throw new Error("at least one connection is needed");
  const key = `peers:${String(process.pid)}:${String(worker)}`;
  let own = "";
  return Promise.resolve({
    async acquire() {
      own = randomBytes(16).toString("hex");
      const answer = await redis.set(key, own, "PX", TTL_MS, "NX");
      if (answer !== "OK") throw new Error(`${key} is held by another`);
    },
    async release() {
      await redis.evalsha(sha, 1, key, own);
    },
  });
});
for (const client of clients) client.disconnect();
process.stdout.write(`${JSON.stringify(report)}\n`);
