// What a store can do by itself: batches of pairs, one after the other, for a while.
//
//   node limit.js '{"type": "redis", "settings": {"url": "…"}, "inFlight": 8, "ms": 2000}'

import { openDynamodbLimit } from "../limits/dynamodb.js";
import { openEtcdLimit } from "../limits/etcd.js";
import type { OpenLimit } from "../limits/limit.js";
import { openPostgresqlLimit } from "../limits/postgresql.js";
import { openRedisLimit } from "../limits/redis.js";
import { openSqliteLimit } from "../limits/sqlite.js";

/** What to do. */
export interface LimitOrder {
  readonly type: string;
  /** The backend's section of a configuration. */
  readonly settings: Readonly<Record<string, string>>;
  /** How many pairs go together. */
  readonly inFlight: number;
  readonly ms: number;
  readonly warmUpMs: number;
}

/** What came of it. */
export interface LimitReport {
  readonly pairsPerSecond: number;
}

const LIMITS: Readonly<Record<string, OpenLimit>> = {
  dynamodb: openDynamodbLimit,
  etcd: openEtcdLimit,
  postgresql: openPostgresqlLimit,
  redis: openRedisLimit,
  sqlite: openSqliteLimit,
};

async function run(order: LimitOrder): Promise<LimitReport> {
  const { type, settings, inFlight, ms, warmUpMs } = order;
  const open = LIMITS[type];
  if (open === undefined) throw new Error(`no limit is known for the store ${type}`);
  await using limit = await open(settings);
  const names = Array.from({ length: inFlight }, (_, at) => `bench/${String(at)}`);
  const startAtMs = performance.now() + warmUpMs;
  const endAtMs = startAtMs + ms;
  let batches = 0;
  let tookMs = 0;
  for (;;) {
    const beganAtMs = performance.now();
    // One at the least, however long it takes.
    if (beganAtMs >= endAtMs && batches > 0) break;
    await limit.pairs(names);
    if (beganAtMs < startAtMs) continue;
    batches += 1;
    tookMs += performance.now() - beganAtMs;
  }
  return { pairsPerSecond: (batches * inFlight * 1000) / tookMs };
}

const order = JSON.parse(process.argv[2] ?? "{}") as LimitOrder;
process.stdout.write(`${JSON.stringify(await run(order))}\n`);
