// The client itself: checks, hints, and its end (B8).

import assert from "node:assert/strict";
import { setTimeout as realTime } from "node:timers/promises";
import type { Backend } from "../lock/backend.js";
import {
  acquire,
  current,
  granted,
  release,
  renew,
  story,
  type ConformanceOptions,
} from "./stage.js";

// Real time, whatever time the store lives in.
const SETTLES_WITHIN_MS = 30_000;
const HINT_WITHIN_MS = 10_000;

export function lifeStories(options: ConformanceOptions): void {
  story(options, "says what it is and that it can be used", async ({ ours, theirs }) => {
    await ours.check();
    await theirs.check();
    assert.equal(ours.traits.type, theirs.traits.type);
    assert.ok(ours.traits.type !== "" && ours.traits.place !== "");
    assert.ok(ours.traits.minTtlMs > 0 && ours.traits.takeoverSlackMs >= 0);
  });

  const { operations } = options;
  if (operations !== undefined) {
    story(
      options,
      "has those operations that it is said to have, of those that may be left out",
      ({ ours }) => {
        const found = (["handOver", "watch"] as const).filter((name) => ours[name] !== undefined);
        assert.deepEqual(found, [...operations].sort());
        return Promise.resolve();
      },
    );
  }

  story(options, "a watcher hears of another client's release", async (stage) => {
    if (stage.ours.watch === undefined) return;
    const heard: (string | undefined)[] = [];
    const stop = stage.ours.watch((resource) => heard.push(resource));
    await realTime(100); // A hint is for those who watch already.
    const resource = stage.name();
    await release(stage.theirs, await granted(stage.theirs, stage.ask(resource)));
    const isHeard = (): boolean => heard.some((hint) => hint === undefined || hint === resource);
    await until(isHeard, HINT_WITHIN_MS, "the release should have been heard of");

    stop();
    stop(); // Harmless.
    await realTime(100);
    const before = heard.length;
    await release(stage.theirs, await granted(stage.theirs, stage.ask(stage.name("later"))));
    await realTime(300);
    assert.equal(heard.length, before, "who has stopped watching should hear no more");
  });

  story(
    options,
    "closing a client releases nothing and leaves the other at work",
    async (stage) => {
      const lease = await granted(stage.ours, stage.ask(stage.name()));
      await stage.ours[Symbol.asyncDispose]();
      assert.equal((await current(stage.theirs, lease.resource))?.leaseId, lease.leaseId);
      assert.ok(await renew(stage.theirs, lease));
      assert.equal(await release(stage.theirs, lease), "released");
    },
  );

  story(
    options,
    "calls under way when it is closed settle, and their answers are true",
    async (stage) => {
      const asks = Array.from({ length: 50 }, (_, n) => stage.ask(stage.name(String(n))));
      const calls = asks.map((ask) => acquire(stage.ours, ask));
      const closing = stage.ours[Symbol.asyncDispose]();
      const settled = await inTime(Promise.allSettled(calls), "calls under way should settle");
      await inTime(closing, "closing should come to an end");
      for (const [index, call] of settled.entries()) {
        if (call.status === "rejected" || call.value.kind !== "granted") continue;
        const { leaseId } = call.value.lease;
        assert.equal((await current(stage.theirs, asks[index]?.resource ?? ""))?.leaseId, leaseId);
      }
    },
  );

  story(options, "a closed client answers nothing, and does so at once", async (stage) => {
    const lease = await granted(stage.ours, stage.ask(stage.name()));
    await stage.ours[Symbol.asyncDispose]();
    await stage.ours[Symbol.asyncDispose](); // Harmless.
    const uses: Record<string, (backend: Backend) => Promise<unknown>> = {
      acquire: (backend) => backend.acquire([stage.ask(stage.name("more"))]),
      renew: (backend) => backend.renew([{ ...lease, ttlMs: undefined }]),
      release: (backend) => backend.release([lease]),
      current: (backend) => backend.current([lease.resource]),
      list: (backend) => backend.list({ prefix: "", after: undefined, limit: 1 }),
      check: (backend) => backend.check(),
    };
    for (const [name, use] of Object.entries(uses)) {
      await inTime(assert.rejects(use(stage.ours), isUnavailable, name), `${name} should settle`);
    }
    assert.ok(await current(stage.theirs, lease.resource));
    assert.equal(await current(stage.theirs, stage.name("more")), undefined);
  });
}

function isUnavailable(thrown: unknown): boolean {
  const { name, kind } = thrown as { name?: unknown; kind?: unknown };
  return name === "LockError" && kind === "unavailable";
}

async function inTime<T>(work: PromiseLike<T>, expectation: string): Promise<T> {
  const stop = new AbortController();
  const late = realTime(SETTLES_WITHIN_MS, undefined, { signal: stop.signal }).then(() =>
    assert.fail(expectation),
  );
  late.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    stop.abort();
  }
}

async function until(holds: () => boolean, withinMs: number, expectation: string): Promise<void> {
  const stepMs = 10;
  for (let waitedMs = 0; !holds(); waitedMs += stepMs) {
    assert.ok(waitedMs < withinMs, expectation);
    await realTime(stepMs);
  }
}
