import { join } from "node:path";
import { afterAll, beforeAll, describe, it } from "vitest";
import { openSqlite } from "../../../src/backends/sqlite/backend.js";
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
  });
});
