// The store's thread dies when it has done what it was asked, and before anybody hears of it.

import type { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Backend } from "../../../src/lock/backend.js";
import { ask, holder, storeFile, take } from "./stage.js";

const UNAVAILABLE = { kind: "unavailable" };

describe("an answer that is lost", () => {
  const state = { isToDie: false };
  let deaths = 0;

  const onThread = (thread: Worker): void => {
    const emit = thread.emit.bind(thread);
    thread.emit = (name: string, ...args: unknown[]): boolean => {
      const [message] = args;
      const isAnswer = name === "message" && Array.isArray(message) && message[0] === "replies";
      if (!isAnswer || !state.isToDie) return emit(name, ...args);
      state.isToDie = false;
      deaths += 1;
      thread.postMessage(null); // It fails at that.
      return true;
    };
  };

  beforeEach(() => {
    deaths = 0;
    state.isToDie = false;
    process.on("worker", onThread);
  });

  afterEach(() => {
    process.off("worker", onThread);
  });

  async function lost(question: () => Promise<unknown>): Promise<void> {
    state.isToDie = true;
    await expect(question()).rejects.toMatchObject(UNAVAILABLE);
    expect(deaths).toBe(1);
  }

  async function withTwo(story: (ours: Backend, theirs: Backend) => Promise<void>): Promise<void> {
    await using file = await storeFile();
    await using theirs = await file.open();
    await using ours = await file.open();
    await story(ours, theirs);
  }

  it("of an acquire: nobody else gets it, and asking again finds the lease", () =>
    withTwo(async (ours, theirs) => {
      const question = ask("a");
      await lost(() => ours.acquire([question]));
      const stored = await holder(theirs, "a");
      expect(stored?.leaseId).toBe(question.leaseId);
      expect((await theirs.acquire([ask("a")]))[0]?.kind).toBe("held");
      const [again] = await ours.acquire([question]);
      expect(again).toMatchObject({
        ...{ kind: "granted", created: false },
        lease: { token: stored?.token },
      });
    }));

  it("of a renewal: it counts, and asking again renews", () =>
    withTwo(async (ours, theirs) => {
      const lease = await take(ours, "a", { ttlMs: 5000 });
      const renewal = { ...lease, ttlMs: 60_000 };
      await lost(() => ours.renew([renewal]));
      const stored = await holder(theirs, "a");
      expect(stored?.remainingMs).toBeGreaterThan(50_000);
      const [again] = await ours.renew([renewal]);
      expect(again).toMatchObject({ kind: "renewed", lease: { token: lease.token } });
    }));

  it("of a release: the lock is free, and releasing again does no harm to the next holder", () =>
    withTwo(async (ours, theirs) => {
      const lease = await take(ours, "a");
      await lost(() => ours.release([lease]));
      const next = await take(theirs, "a");
      expect(next.token).toBeGreaterThan(lease.token);
      expect(await ours.release([lease])).toEqual([{ kind: "not-held" }]);
      expect((await holder(ours, "a"))?.leaseId).toBe(next.leaseId);
    }));
});
