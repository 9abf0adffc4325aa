// Opens the stores that it is told to, all at one moment, takes a lock in each and prints what came of it.

import { openSqlite } from "../../../../src/backends/sqlite/backend.js";
import { asLockError } from "../../../../src/lock/errors.js";
import { newLeaseId } from "../../../../src/lock/lease.js";
import { systemClock } from "../../../../src/system-clock.js";

interface Input {
  readonly paths: readonly string[];
  /** The wall clock's time to begin at, so that several processes do it together. */
  readonly atMs: number;
}

const { paths, atMs } = JSON.parse(process.argv[2] ?? "") as Input;
const outcomes: string[] = [];
await new Promise((resolve) => setTimeout(resolve, Math.max(0, atMs - Date.now())));
for (const path of paths) {
  try {
    await using backend = await openSqlite({ path }, { clock: systemClock });
    const leaseId = newLeaseId();
    const about = { principal: "ann", ttlMs: 60_000, reason: "", labels: {} };
    const [answer] = await backend.acquire([{ resource: "one", leaseId, ...about }]);
    outcomes.push(answer?.kind ?? "nothing");
  } catch (error) {
    outcomes.push(asLockError(error).message);
  }
}
process.stdout.write(JSON.stringify(outcomes));
