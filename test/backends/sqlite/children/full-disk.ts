// Fills the disk that the store is on, in the middle of its work, and makes room again.

import { rmSync, writeFileSync } from "node:fs";
import { openSqlite } from "../../../../src/backends/sqlite/backend.js";
import { asLockError } from "../../../../src/lock/errors.js";
import { newLeaseId, type Lease } from "../../../../src/lock/lease.js";
import { systemClock } from "../../../../src/system-clock.js";

const { directory } = JSON.parse(process.argv[2] ?? "") as { directory: string };
const settings = { path: `${directory}/locks.db` };
const backend = await openSqlite(settings, { clock: systemClock });
const held: Lease[] = [];

/** @returns what stopped it */
async function takeMany(batches: number, name: string): Promise<string | undefined> {
  for (let batch = 0; batch < batches; batch++) {
    const asks = Array.from({ length: 50 }, (_, n) => ({
      ...{ resource: `${name}/${String(batch)}/${String(n)}`, leaseId: newLeaseId() },
      ...{ principal: "ann", ttlMs: 600_000, reason: "x".repeat(200), labels: {} },
    }));
    try {
      for (const answer of await backend.acquire(asks)) {
        if (answer.kind === "granted") held.push(answer.lease);
      }
    } catch (error) {
      return asLockError(error).message;
    }
  }
  return undefined;
}

function fill(): void {
  for (let size = 1 << 20; size >= 512; size >>= 1) {
    for (let more = 0; more < 64; more++) {
      try {
        writeFileSync(`${directory}/filler`, Buffer.alloc(size), { flag: "a" });
      } catch {
        break;
      }
    }
  }
}

async function missing(from: typeof backend): Promise<number> {
  const found = await from.current(held.map(({ resource }) => resource));
  return found.filter((lease, index) => lease?.leaseId !== held[index]?.leaseId).length;
}

const before = await takeMany(4, "before");
fill();
const during = await takeMany(1000, "during");
const check = await backend.check().catch((error: unknown) => asLockError(error).message);
const missingWhileFull = await missing(backend).catch(
  (error: unknown) => asLockError(error).message,
);
rmSync(`${directory}/filler`);
const after = await takeMany(4, "after");
await backend.check();
const missingAfter = await missing(backend);
await backend[Symbol.asyncDispose]();
const reopened = await openSqlite(settings, { clock: systemClock });
const missingReopened = await missing(reopened);
await reopened[Symbol.asyncDispose]();

process.stdout.write(
  JSON.stringify({
    ...{ before, during, check, after, held: held.length },
    ...{ missingWhileFull, missingAfter, missingReopened },
  }),
);
