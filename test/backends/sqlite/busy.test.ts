import type { Worker } from "node:worker_threads";
import { describe, expect, it, vi } from "vitest";
import { openSqlite } from "../../../src/backends/sqlite/backend.js";
import { FakeClock } from "../../support/fake-clock.js";
import { ask, holder, storeFile, take } from "./stage.js";

// The exit code of the next thread that is started.
function threadEnd(): Promise<number> {
  return new Promise((resolve) => {
    process.once("worker", (thread: Worker) => thread.once("exit", resolve));
  });
}

describe("while another process has the file's lock", () => {
  it("a write fails in time and says why, reading goes on, and all is well afterwards", async () => {
    await using file = await storeFile();
    await using backend = await file.open({ busyMs: 300 });
    await take(backend, "a");
    const other = await file.raw();
    try {
      other.exec("BEGIN IMMEDIATE");
      const startedMs = performance.now();
      await expect(backend.acquire([ask("b")])).rejects.toMatchObject({
        kind: "unavailable",
        message: expect.stringMatching(/locks\.db is locked by another process.*fuser/u) as unknown,
      });
      expect(performance.now() - startedMs).toBeGreaterThan(290);
      expect(performance.now() - startedMs).toBeLessThan(3000);
      expect(await holder(backend, "a")).toBeDefined();
      expect((await backend.acquire([ask("a")]))[0]?.kind).toBe("held");
      await expect(backend.check()).rejects.toMatchObject({ kind: "unavailable" });
      other.exec("ROLLBACK");
    } finally {
      other.close();
    }
    await backend.check();
    expect(await holder(backend, "b")).toBeUndefined();
    await take(backend, "b");
  });

  it("a write waits for a lock that comes free in time", async () => {
    await using file = await storeFile();
    await using backend = await file.open();
    const other = await file.raw();
    try {
      other.exec("BEGIN IMMEDIATE");
      const taken = take(backend, "a");
      await new Promise((resolve) => setTimeout(resolve, 300));
      other.exec("ROLLBACK");
      expect((await taken).resource).toBe("a");
    } finally {
      other.close();
    }
  });
});

describe("the store's thread", () => {
  it("that does not answer costs a call its time, not more, can be closed, and ends by itself", async () => {
    await using file = await storeFile();
    const clock = new FakeClock();
    const ended = threadEnd();
    const backend = await openSqlite({ path: file.path }, { clock }, { busyMs: 600_000 });
    await take(backend, "a");
    const other = await file.raw();
    try {
      other.exec("BEGIN IMMEDIATE");
      let failure: unknown;
      const call = take(backend, "b").catch((error: unknown) => (failure = error));
      // The thread is to be at it by then, and hang in it.
      await new Promise((resolve) => setTimeout(resolve, 200));
      await clock.advance(9_999);
      expect(failure).toBeUndefined();
      await clock.advance(1);
      await call;
      expect(failure).toMatchObject({
        message: expect.stringContaining("not answered for 10 s") as unknown,
      });

      let isClosed = false;
      void backend[Symbol.asyncDispose]().then(() => (isClosed = true));
      await clock.advance(10_000);
      // On a busy machine it may not have come to the call in time, and have skipped it: then
      // nothing keeps it from ending, in real time.
      await vi.waitFor(() => {
        expect(isClosed).toBe(true);
      }, 5000);
      expect(clock.pending).toBe(0);
    } finally {
      other.close();
    }
    expect(await ended).toBe(0); // Terminated, it would be 1.
  });

  it("does not carry out what was given up before it came to it", async () => {
    await using file = await storeFile();
    const clock = new FakeClock();
    await using backend = await openSqlite({ path: file.path }, { clock }, { busyMs: 600_000 });
    const lease = await take(backend, "held");
    const other = await file.raw();
    try {
      other.exec("BEGIN IMMEDIATE");
      // The first is begun and waits for the file; the others wait for the first.
      const first = expect(take(backend, "first")).rejects.toThrow(/not answered for 10 s/u);
      await new Promise((resolve) => setTimeout(resolve, 200));
      const calls = [
        take(backend, "second"),
        backend.renew([{ ...lease, ttlMs: 600_000 }]),
        backend.release([lease]),
      ];
      const settled = Promise.allSettled(calls);
      await clock.advance(10_000);
      await first;
      for (const call of await settled) expect(call.status).toBe("rejected");
    } finally {
      other.exec("ROLLBACK");
      other.close();
    }
    // Answered after whatever is still to be done.
    expect((await holder(backend, "held"))?.revision).toBe(lease.revision);
    expect(await holder(backend, "second")).toBeUndefined();
    await take(backend, "second");
  });

  it("that dies fails the calls under way, and the next call starts another", async () => {
    await using file = await storeFile();
    const threads: { postMessage(nonsense: null): void }[] = [];
    const onThread = (thread: (typeof threads)[number]): number => threads.push(thread);
    process.on("worker", onThread);
    try {
      await using backend = await file.open();
      const lease = await take(backend, "a");
      // It fails at that, before it sees the calls. To terminate it within a call of SQLite's, as a
      // test may not, ends the whole process now and then.
      threads[0]?.postMessage(null);
      const calls = Array.from({ length: 20 }, (_, n) => backend.acquire([ask(String(n))]));
      for (const call of await Promise.allSettled(calls)) {
        expect(call).toMatchObject({ status: "rejected", reason: { kind: "unavailable" } });
      }
      expect((await holder(backend, "a"))?.token).toBe(lease.token);
      expect(threads).toHaveLength(2);
    } finally {
      process.off("worker", onThread);
    }
  });

  it("leaves nothing behind when it is closed: no timer, no log file", async () => {
    await using file = await storeFile();
    const clock = new FakeClock();
    const backend = await openSqlite({ path: file.path }, { clock });
    backend.watch?.(() => undefined);
    await Promise.all([take(backend, "a"), take(backend, "b")]);
    await backend[Symbol.asyncDispose]();
    expect(clock.pending).toBe(0);
    const { readdir } = await import("node:fs/promises");
    expect(await readdir(file.directory)).toEqual(["locks.db"]);
  });
});
