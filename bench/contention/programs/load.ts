// Very many who want one lock, through several daemons of one store: each takes it, gives it back
// and queues again. Counts grants here, and what they cost at the store.
//
//   node load.js '{"addresses": ["127.0.0.1:7420"], "waiters": 1000, "store": {…}, …}'

import { setTimeout as pause } from "node:timers/promises";
import { open, UnaryCaller, type Caller } from "../../handoff/callers.js";
import type { OpenCounter } from "../counters/counter.js";
import { openEtcdCounter } from "../counters/etcd.js";
import { openPostgresqlCounter } from "../counters/postgresql.js";
import { openRedisCounter } from "../counters/redis.js";

/** What to do. */
export interface ContentionOrder {
  readonly addresses: readonly string[];
  /** Over all daemons. */
  readonly waiters: number;
  readonly store: {
    readonly type: string;
    readonly settings: Readonly<Record<string, string>>;
  };
  readonly ms: number;
  readonly warmUpMs: number;
}

/** What came of it. */
export interface ContentionReport {
  /** Through each of the daemons. */
  readonly grants: readonly number[];
  /** What the store was asked for them. */
  readonly operations: number;
}

const CONNECTIONS = 4;
const COUNTERS: Readonly<Record<string, OpenCounter>> = {
  etcd: openEtcdCounter,
  postgresql: openPostgresqlCounter,
  redis: openRedisCounter,
};

const { addresses, waiters, store, ms, warmUpMs } = JSON.parse(
  process.argv[2] ?? "{}",
) as ContentionOrder;
const openCounter = COUNTERS[store.type];
if (openCounter === undefined) throw new Error(`nothing counts what reaches ${store.type}`);
const resource = `bench/contention/${String(process.pid)}`;
const grants = addresses.map(() => 0);

function onFailure(error: Error): void {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

async function work(caller: Caller, daemon: number): Promise<void> {
  for (;;) {
    await caller.take();
    grants[daemon] = (grants[daemon] ?? 0) + 1;
    caller.give();
  }
}

const counter = await openCounter(store.settings);
addresses.forEach((address, daemon) => {
  const sessions = Array.from({ length: CONNECTIONS }, () => open(address));
  for (let n = daemon; n < waiters; n += addresses.length) {
    const session = sessions[n % CONNECTIONS];
    if (session === undefined) continue;
    work(new UnaryCaller(session, resource, onFailure), daemon).catch(onFailure);
  }
});
await pause(warmUpMs);
// The same span for both: what counts at the store takes its time.
const before = await counter.operations();
const grantsBefore = [...grants];
await pause(ms);
const after = await counter.operations();
const report: ContentionReport = {
  grants: grants.map((count, at) => count - (grantsBefore[at] ?? 0)),
  operations: after - before,
};
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
