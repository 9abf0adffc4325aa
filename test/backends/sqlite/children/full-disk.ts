// Fills the disk that the store is on, in the middle of its work, and makes room again.

import { rmSync, writeFileSync } from "node:fs";
import { openSqlite } from "../../../../src/backends/sqlite/backend.js";
import { asLockError } from "../../../../src/lock/errors.js";
import { leaseIn } from "../../../../src/lock/unreadable.js";
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
  return found.filter((answer, index) => leaseIn(answer)?.leaseId !== held[index]?.leaseId).length;
}

/** @returns how many of them it renewed, over and over, and what stopped it */
async function renewMany(leases: readonly Lease[], times: number): Promise<string> {
  for (let time = 0; time < times; time++) {
    try {
      const answers = await backend.renew(leases.map((lease) => ({ ...lease, ttlMs: 2000 })));
      if (answers.some(({ kind }) => kind !== "renewed")) return `lost the ${String(time)}th time`;
    } catch (error) {
      return `${String(time)}: ${asLockError(error).message}`;
    }
  }
  return "all renewed";
}

/** One resource from hand to hand, and a renewal beside a new name in one turn. */
async function passOn({ resource, leaseId }: Lease): Promise<string> {
  const about = { principal: "bob", ttlMs: 60_000, reason: "x".repeat(200), labels: {} };
  const ask = { resource, leaseId: newLeaseId(), ...about };
  const [released] = await backend.release([{ resource, leaseId }]);
  const [again] = await backend.acquire([ask]);
  const isNew = { ...ask, resource: `${resource}/${"new".repeat(50)}`, reason: "x".repeat(500) };
  const [fresh, renewed] = await Promise.allSettled([
    backend.acquire(
      Array.from({ length: 100 }, (_, n) => ({
        ...isNew,
        resource: `${isNew.resource}${String(n)}`,
      })),
    ),
    backend.renew([{ resource, leaseId: ask.leaseId, ttlMs: undefined }]),
  ]);
  await backend.release([{ resource, leaseId: ask.leaseId }]);
  return [released?.kind, again?.kind, fresh.status, renewed.status].join();
}

const before = await takeMany(4, "before");
const shortAsks = Array.from({ length: 20 }, (_, n) => ({
  ...{ resource: `short/${String(n)}`, leaseId: newLeaseId(), principal: "ann" },
  ...{ ttlMs: 2000, reason: "x".repeat(200), labels: {} },
}));
const short = (await backend.acquire(shortAsks)).flatMap((answer) =>
  answer.kind === "granted" ? [answer.lease] : [],
);
await new Promise((resolve) => setTimeout(resolve, 500));
fill();
const during = await takeMany(1000, "during");
// So often that the log would have grown to many times its length.
const renewals = await renewMany(short, 2000);
const passed =
  short[0] && (await passOn(short[0]).catch((error: unknown) => asLockError(error).message));
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
    ...{ before, during, renewals, passed, check, after, held: held.length },
    ...{ missingWhileFull, missingAfter, missingReopened },
  }),
);
