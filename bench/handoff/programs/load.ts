// How long it takes from a release to the grant at the next one who waits, and whether those who
// wait are served in the order in which they came. All of them are in this one process, so that
// one clock sees both ends.
//
//   node load.js '{"address": "127.0.0.1:7420", "by": "unary", "waiters": 500, "holdMs": 0, …}'

import { setTimeout as pause } from "node:timers/promises";
import { quantile } from "../../figures.js";
import { open, StreamCaller, UnaryCaller, type Caller } from "../callers.js";
import { EtcdCaller } from "../etcd-caller.js";

/** What to do. */
export interface HandoffOrder {
  readonly address: string;
  /** How the callers ask: by calls, on streams, or etcd's own lock service. */
  readonly by: "unary" | "hold" | "etcd";
  /** How many wait while one holds. */
  readonly waiters: number;
  /** How long each holds it: long enough that the one before has queued again. */
  readonly holdMs: number;
  /** How long to count, and how long to go on before that, without counting. */
  readonly ms: number;
  readonly warmUpMs: number;
}

/** What came of it. */
export interface HandoffReport {
  readonly handoffs: number;
  /** From the release to the next grant, as the callers see it. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** How many were granted it before one who had queued earlier. */
  readonly inversions: number;
}

const CONNECTIONS = 8;

const order = JSON.parse(process.argv[2] ?? "{}") as HandoffOrder;
const sessions = Array.from({ length: Math.min(CONNECTIONS, order.waiters + 1) }, () =>
  open(order.address),
);
const resource = `bench/handoff/${String(process.pid)}`;
// Counted from when all are connected.
let startAtMs = Infinity;
let endAtMs = Infinity;
const times: number[] = [];
let inversions = 0;
let lastPlace = 0;
let newestServed = 0;
let releasedAtMs = NaN;

function onFailure(error: Error): void {
  if (performance.now() >= endAtMs) return;
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

async function callerOf(index: number): Promise<Caller> {
  const session = sessions[index % sessions.length];
  if (session === undefined) throw new Error("no connection");
  if (order.by === "etcd") return EtcdCaller.open(session, resource, onFailure);
  return new (order.by === "unary" ? UnaryCaller : StreamCaller)(session, resource, onFailure);
}

// In which order the first of each arrive nobody knows. From then on a caller queues behind its
// own release, on the same connection, and the next one is granted nothing before that was read.
async function work(caller: Caller): Promise<void> {
  for (let turn = 0; ; turn++) {
    const place = turn === 0 ? 0 : ++lastPlace;
    await caller.take();
    const grantedAtMs = performance.now();
    if (place > 0 && place < newestServed) inversions += 1;
    newestServed = Math.max(newestServed, place);
    if (releasedAtMs >= startAtMs) times.push(grantedAtMs - releasedAtMs);
    if (grantedAtMs >= endAtMs) return;
    if (order.holdMs > 0) await pause(order.holdMs);
    releasedAtMs = performance.now();
    caller.give();
  }
}

const callers = await Promise.all(
  Array.from({ length: order.waiters + 1 }, (_, index) => callerOf(index)),
);
startAtMs = performance.now() + order.warmUpMs;
endAtMs = startAtMs + order.ms;
// The first to come to its end ends all: the others wait, and are not waited for.
await Promise.race(callers.map((caller) => work(caller)));
times.sort((a, b) => a - b);
const report: HandoffReport = {
  ...{ handoffs: times.length, inversions },
  ...{ p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99) },
};
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
