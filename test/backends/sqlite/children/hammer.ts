// Takes, renews, releases and abandons locks as fast as it can, and writes down when it
// believed that it held what. It is killed at any moment: what it wrote stays.

import { openSync, writeSync } from "node:fs";
import { openSqlite } from "../../../../src/backends/sqlite/backend.js";
import { newLeaseId } from "../../../../src/lock/lease.js";
import { systemClock } from "../../../../src/system-clock.js";
import type { Belief } from "../hammer.js";

const { path, log, lanes } = JSON.parse(process.argv[2] ?? "") as {
  readonly path: string;
  readonly log: string;
  /** The resources that each lane takes in turn. No two lanes share one. */
  readonly lanes: readonly (readonly string[])[];
};

const LEASE = { principal: "hammer", ttlMs: 150, reason: "", labels: {} };

const file = openSync(log, "a");
const backend = await openSqlite({ path }, { clock: systemClock });
let isStopping = false;
process.once("SIGTERM", () => (isStopping = true));

// Comparable between processes, unlike performance.now().
const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;
const write = (belief: Belief): void => {
  writeSync(file, `${JSON.stringify(belief)}\n`);
};
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function work(resources: readonly string[]): Promise<void> {
  for (let round = 0; !isStopping; round++) {
    const resource = resources[round % resources.length] ?? "";
    const leaseId = newLeaseId();
    const askedMs = nowMs();
    const [answer] = await backend.acquire([{ resource, leaseId, ...LEASE }]);
    if (answer?.kind !== "granted") continue;
    const token = String(answer.lease.token);
    const id = `${resource} ${token}`;
    let untilMs = askedMs + LEASE.ttlMs;
    write({ id, resource, token, fromMs: nowMs(), untilMs });
    const fate = Math.random();
    if (fate < 0.01) continue; // Abandoned: it ends by itself.
    if (fate < 0.2) {
      await pause(Math.random() * 20);
      const renewedMs = nowMs();
      const [renewal] = await backend.renew([{ resource, leaseId, ttlMs: undefined }]);
      if (renewal?.kind === "renewed") {
        untilMs = renewedMs + LEASE.ttlMs;
        write({ id, untilMs });
      }
    }
    write({ id, untilMs: Math.min(untilMs, nowMs()) }); // It may have been lost before.
    await backend.release([{ resource, leaseId }]);
  }
}

await Promise.all(lanes.map(work));
await backend[Symbol.asyncDispose]();
