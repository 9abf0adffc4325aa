import { join } from "node:path";
import { afterAll, beforeAll, describe, it } from "vitest";
import { openSqlite } from "../../../src/backends/sqlite/backend.js";
import { loadDriver } from "../../../src/backends/sqlite/driver.js";
import { conformance } from "../../../src/conformance.js";
import { systemClock } from "../../../src/system-clock.js";
import { bundleChildren, type Children } from "../support/children.js";
import { remoteBackend } from "../support/remote-backend.js";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary.js";

let directory: TemporaryDirectory;

beforeAll(async () => {
  directory = await temporaryDirectory();
});

afterAll(async () => {
  await directory[Symbol.asyncDispose]();
});

// Past our own code.
async function spoil(name: string, resource: string): Promise<() => Promise<void>> {
  const run = async (...statements: readonly string[]): Promise<void> => {
    const { DatabaseSync } = await loadDriver();
    const database = new DatabaseSync(join(directory.path, name));
    database.exec("PRAGMA busy_timeout = 5000");
    for (const statement of statements) database.exec(statement);
    database.close();
  };
  const key = `x'${Buffer.from(resource).toString("hex")}'`;
  const far = "1 << 52, 1, 1, 1, 0, ''";
  const remove = `DELETE FROM leases WHERE resource = ${key}`;
  await run(
    remove,
    `INSERT INTO leases VALUES (${key}, 'x', 'somebody', 1, 1, ${far}, 'of another program')`,
  );
  return () => run(remove);
}

describe("sqlite, two clients in one process, in time that is moved on", () => {
  const aheadUs = new BigInt64Array(new SharedArrayBuffer(8));
  conformance({
    runner: { describe, it },
    operations: ["handOver", "watch"],
    open: () => {
      const path = join(directory.path, "one-process.db");
      return openSqlite({ path }, { clock: systemClock }, { aheadUs });
    },
    wait: (ms) => {
      Atomics.add(aheadUs, 0, BigInt(ms) * 1000n);
      return Promise.resolve();
    },
    spoil: (resource) => spoil("one-process.db", resource),
  });
});

describe("sqlite, two processes, in real time", () => {
  let children: Children;
  let opened = 0;

  beforeAll(async () => {
    children = await bundleChildren("serve");
  });

  afterAll(async () => {
    await children[Symbol.asyncDispose]();
  });

  conformance({
    runner: { describe, it },
    open: () => {
      const settings = { path: join(directory.path, "two-processes.db") };
      const isOurs = opened++ % 2 === 0;
      if (isOurs) return openSqlite(settings, { clock: systemClock });
      return remoteBackend(children.start("serve", settings, { ipc: true }));
    },
  });
});

describe("sqlite, two clients in one process, one of them without a thread, in real time", () => {
  let opened = 0;
  conformance({
    runner: { describe, it },
    operations: ["handOver", "watch"],
    open: () => {
      const path = join(directory.path, "without-a-thread.db");
      return openSqlite({ path }, { clock: systemClock, isBrief: opened++ % 2 === 0 });
    },
    spoil: (resource) => spoil("without-a-thread.db", resource),
  });
});
