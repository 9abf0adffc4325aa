// From one holder to the next, in one question: for backends that have it.

import assert from "node:assert/strict";
import type { AcquireAnswer, AcquireAsk, Backend, ReleaseAsk } from "../lock/backend.js";
import { newLeaseId } from "../lock/lease.js";
import {
  acquire,
  current,
  granted,
  identity,
  release,
  renew,
  story,
  type ConformanceOptions,
  type Stage,
} from "./stage.js";

interface Handed {
  readonly release: string;
  readonly acquire: AcquireAnswer;
}

type Ask = readonly [ReleaseAsk, AcquireAsk];

export function handOverStories(options: ConformanceOptions): void {
  const handOverStory = (
    name: string,
    play: (stage: Stage, handOver: (...asks: readonly Ask[]) => Promise<Handed[]>) => Promise<void>,
  ): void => {
    story(options, name, async (stage) => {
      if (stage.ours.handOver === undefined) return; // It may be left out.
      await play(stage, (...asks) => handOverAll(stage.ours, asks));
    });
  };

  handOverStory(
    "a lock that is handed over has a new holder and a greater token",
    async (stage, handOver) => {
      const first = await granted(stage.theirs, stage.ask(stage.name()));
      const next = stage.ask(first.resource, { principal: "bob", reason: "next" });
      const [answer] = await handOver([first, next]);
      assert.equal(answer?.release, "released");
      assert.ok(answer.acquire.kind === "granted" && answer.acquire.created);
      const { lease } = answer.acquire;
      assert.ok(lease.token > first.token);
      assert.deepEqual([lease.leaseId, lease.principal], [next.leaseId, "bob"]);
      for (const client of [stage.ours, stage.theirs]) {
        assert.deepEqual(identity(await current(client, first.resource)), identity(lease));
        assert.equal(await renew(client, first), undefined);
        assert.equal(await release(client, first), "not-held");
      }
      assert.equal((await acquire(stage.theirs, stage.ask(first.resource))).kind, "held");
      assert.ok(await renew(stage.theirs, lease));
      assert.equal(await release(stage.theirs, lease), "released");
      assert.equal((await acquire(stage.ours, next)).kind, "spent");
    },
  );

  handOverStory("who does not hold a lock hands nothing over", async (stage, handOver) => {
    const lease = await granted(stage.theirs, stage.ask(stage.name()));
    const next = stage.ask(lease.resource);
    const touched = await renew(stage.theirs, lease);
    assert.ok(touched);
    for (const stale of [
      { resource: lease.resource, leaseId: newLeaseId() },
      { ...lease, ifRevision: lease.revision },
    ]) {
      const [answer] = await handOver([stale, next]);
      assert.equal(answer?.release, "not-held");
      assert.ok(answer.acquire.kind === "held");
      assert.deepEqual(identity(answer.acquire.holder), identity(touched));
    }

    const [answer] = await handOver([{ ...lease, ifRevision: touched.revision }, next]);
    assert.deepEqual([answer?.release, answer?.acquire.kind], ["released", "granted"]);
  });

  handOverStory(
    "what has ended is the next one's, and goes to nobody twice",
    async (stage, handOver) => {
      const resource = stage.name();
      const first = stage.ask(resource);
      await release(stage.theirs, await granted(stage.theirs, first));
      const next = stage.ask(resource);
      const [free] = await handOver([first, next]);
      assert.deepEqual([free?.release, free?.acquire.kind], ["not-held", "granted"]);
      // The same again, as after an answer that was lost: it finds its lease.
      const [again] = await handOver([first, next]);
      assert.equal(again?.release, "not-held");
      assert.ok(again.acquire.kind === "granted" && !again.acquire.created);
      const [own] = await handOver([next, next]);
      assert.deepEqual([own?.release, own?.acquire.kind], ["released", "spent"]);
      assert.equal(await current(stage.theirs, resource), undefined);
    },
  );

  handOverStory(
    "hand-overs that go together are answered in the order of their questions",
    async (stage, handOver) => {
      const names = Array.from({ length: 20 }, (_, at) => stage.name(String(at)));
      const held = await Promise.all(names.map((name) => granted(stage.theirs, stage.ask(name))));
      const asks = held.map((lease, at): Ask => [
        at % 3 === 0 ? { resource: lease.resource, leaseId: newLeaseId() } : lease,
        stage.ask(lease.resource),
      ]);
      const answers = await handOver(...asks);
      answers.forEach((answer, at) => {
        const leaseId = asks[at]?.[1].leaseId;
        const kept = at % 3 === 0;
        assert.equal(answer.release, kept ? "not-held" : "released");
        if (answer.acquire.kind === "held")
          assert.equal(answer.acquire.holder.leaseId, held[at]?.leaseId);
        else
          assert.ok(answer.acquire.kind === "granted" && answer.acquire.lease.leaseId === leaseId);
        assert.equal(answer.acquire.kind, kept ? "held" : "granted");
      });
    },
  );
}

async function handOverAll(backend: Backend, asks: readonly Ask[]): Promise<Handed[]> {
  const questions = asks.map(([ask, next]) => {
    const { resource, leaseId, ifRevision } = ask;
    const release = { resource, leaseId, ...(ifRevision === undefined ? {} : { ifRevision }) };
    return { release, acquire: next };
  });
  const answers = (await backend.handOver?.(questions)) ?? [];
  assert.equal(answers.length, asks.length);
  return answers.map((answer) => {
    assert.ok(answer.kind === "asked", `a hand-over ${answer.kind}`);
    return { release: answer.release.kind, acquire: answer.acquire };
  });
}
