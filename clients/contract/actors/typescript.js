// The actor of the TypeScript library. (README.md in the folder above.)

import { createInterface } from "node:readline";
import { setInterval } from "node:timers";
import { connect } from "../../../dist/index.js";

const [, , servers = "", principal = "", everyMs = "10"] = process.argv;
const client = connect({ servers: servers.split(","), principal });
const holds = new Map();

const say = (words) => process.stdout.write(`${JSON.stringify(words)}\n`);
const hostMs = () => Number(process.hrtime.bigint() / 1000n) / 1000;

async function hold({ resource, ttlMs, waitMs }) {
  try {
    const result = await client.hold(resource, { ttlMs, waitMs });
    if (result.kind !== "granted") {
      say({ says: "refused", resource, principal: result.holder?.principal ?? "" });
      return;
    }
    holds.set(resource, result.hold);
    result.hold.signal.addEventListener("abort", () => say({ says: "lost", resource }));
    say({ says: "granted", resource, token: String(result.hold.token) });
  } catch (error) {
    say({ says: "failed", resource, why: error.message });
  }
}

async function release({ resource }) {
  const hold = holds.get(resource);
  const outcome = await hold?.release();
  const wasKept = hold?.state === "RELEASED" && outcome !== "not-held";
  say({ says: "released", resource, wasKept });
}

setInterval(() => {
  for (const [resource, held] of holds) {
    const atMs = hostMs();
    if (held.isHeld) say({ says: "held", resource, atMs });
  }
}, Number(everyMs)).unref();

for await (const line of createInterface(process.stdin)) {
  const order = JSON.parse(line);
  void (order.do === "hold" ? hold(order) : release(order));
}
await client[Symbol.asyncDispose]();
