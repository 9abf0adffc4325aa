// What the tests of the embedded store share.

import { join } from "node:path";
import { openSqlite, type SqliteHooks } from "../../../src/backends/sqlite/backend.js";
import { loadDriver, type Database } from "../../../src/backends/sqlite/driver.js";
import type { AcquireAsk, Backend } from "../../../src/lock/backend.js";
import { leaseIn } from "../../../src/lock/unreadable.js";
import { newLeaseId, type Lease } from "../../../src/lock/lease.js";
import { systemClock } from "../../../src/system-clock.js";
import { temporaryDirectory } from "../support/temporary.js";

/** A store file in a directory of its own. */
export class StoreFile implements AsyncDisposable {
  readonly directory: string;
  readonly path: string;
  readonly #dispose: () => Promise<void>;

  constructor(directory: AsyncDisposable & { readonly path: string }) {
    this.directory = directory.path;
    this.path = join(directory.path, "locks.db");
    this.#dispose = async () => {
      await directory[Symbol.asyncDispose]();
    };
  }

  open(hooks: SqliteHooks = {}): Promise<Backend> {
    return openSqlite({ path: this.path }, { clock: systemClock }, hooks);
  }

  /** The file as SQLite has it, past our own code. */
  async raw(): Promise<Database> {
    const { DatabaseSync } = await loadDriver();
    return new DatabaseSync(this.path);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#dispose();
  }
}

export async function storeFile(): Promise<StoreFile> {
  return new StoreFile(await temporaryDirectory());
}

/** Clocks that are moved by hand, on top of the real ones. */
export class ShiftedClocks {
  readonly aheadUs = new BigInt64Array(new SharedArrayBuffer(8));

  move(ms: number): void {
    Atomics.add(this.aheadUs, 0, BigInt(ms) * 1000n);
  }
}

export function ask(resource: string, more: Partial<AcquireAsk> = {}): AcquireAsk {
  return {
    ...{ resource, leaseId: newLeaseId(), principal: "ann", ttlMs: 10_000, reason: "" },
    ...{ labels: {}, ...more },
  };
}

/** Takes one resource that is free. */
export async function take(
  backend: Backend,
  resource: string,
  more: Partial<AcquireAsk> = {},
): Promise<Lease> {
  const [answer] = await backend.acquire([ask(resource, more)]);
  if (answer?.kind !== "granted") throw new Error(`${resource} is ${String(answer?.kind)}`);
  return answer.lease;
}

export async function holder(backend: Backend, resource: string): Promise<Lease | undefined> {
  return leaseIn((await backend.current([resource]))[0]);
}
