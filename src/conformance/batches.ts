// Many resources at a time, and two clients at once (B1, B6, B7).

import assert from "node:assert/strict";
import type { AcquireAnswer } from "../lock/backend.js";
import { leaseIn } from "../lock/unreadable.js";
import { newLeaseId } from "../lock/lease.js";
import { granted, release, story, type ConformanceOptions } from "./stage.js";

const LARGE_BATCH = 1000;
const RACED_FOR = 200;

export function batchStories(options: ConformanceOptions): void {
  story(options, "a batch is answered in the order of its questions", async (stage) => {
    const held = await granted(stage.theirs, stage.ask(stage.name("held")));
    const mine = stage.ask(stage.name("mine"));
    await granted(stage.ours, mine);
    const spent = stage.ask(stage.name("spent"));
    await release(stage.ours, await granted(stage.ours, spent));
    const free = stage.ask(stage.name("free"));

    const asks = [stage.ask(held.resource), mine, free, spent];
    const answers = await stage.ours.acquire(asks);
    assert.deepEqual(
      answers.map(({ kind }) => kind),
      ["held", "granted", "granted", "spent"],
    );
    assert.deepEqual(
      answers.map((answer) => (answer.kind === "granted" ? answer.created : undefined)),
      [undefined, false, true, undefined],
    );

    const renewals = await stage.ours.renew([
      { resource: held.resource, leaseId: newLeaseId(), ttlMs: undefined },
      { ...free, ttlMs: undefined },
      { resource: stage.name("never"), leaseId: newLeaseId(), ttlMs: undefined },
      { ...mine, ttlMs: undefined },
    ]);
    assert.deepEqual(
      renewals.map((answer) => (answer.kind === "renewed" ? answer.lease.resource : answer.kind)),
      ["lost", free.resource, "lost", mine.resource],
    );

    const resources = [spent, free, stage.ask(stage.name("never")), mine].map(
      (ask) => ask.resource,
    );
    assert.deepEqual(
      (await stage.theirs.current(resources)).map((answer) => leaseIn(answer)?.leaseId),
      [undefined, free.leaseId, undefined, mine.leaseId],
    );

    const releases = await stage.ours.release([spent, mine, { ...free, leaseId: newLeaseId() }]);
    assert.deepEqual(
      releases.map(({ kind }) => kind),
      ["not-held", "released", "not-held"],
    );
  });

  story(
    options,
    `a batch of ${String(LARGE_BATCH)} is taken, renewed, seen and released`,
    async (stage) => {
      const asks = Array.from({ length: LARGE_BATCH }, (_, n) => stage.ask(stage.name(String(n))));
      const grants = await stage.ours.acquire(asks);
      assert.equal(
        grants.filter((answer) => answer.kind === "granted" && answer.created).length,
        LARGE_BATCH,
      );
      const renewals = await stage.ours.renew(asks);
      assert.equal(renewals.filter(({ kind }) => kind === "renewed").length, LARGE_BATCH);
      const seen = await stage.theirs.current(asks.map(({ resource }) => resource));
      assert.deepEqual(
        seen.map((answer) => leaseIn(answer)?.leaseId),
        asks.map(({ leaseId }) => leaseId),
      );
      const releases = await stage.ours.release(asks);
      assert.equal(releases.filter(({ kind }) => kind === "released").length, LARGE_BATCH);
    },
  );

  story(
    options,
    "two clients that race for many resources win each of them once",
    async (stage) => {
      const names = Array.from({ length: RACED_FOR }, (_, n) => stage.name(String(n)));
      const ours = names.map((name) => stage.ask(name));
      const theirs = names.map((name) => stage.ask(name)).reverse();
      const [batch, singles] = await Promise.all([
        stage.ours.acquire(ours),
        Promise.all(theirs.map((ask) => stage.theirs.acquire([ask]))),
      ]);
      const answers = [batch, singles.flat().reverse()] as const;
      for (const [index, name] of names.entries()) {
        const [our, their] = [answers[0][index], answers[1][index]];
        const winners = [our, their].filter((answer) => answer?.kind === "granted");
        assert.equal(winners.length, 1, `${name} should have one holder`);
        assert.equal(holderOf(our), holderOf(their));
      }
    },
  );

  const { spoil } = options;
  if (spoil !== undefined) {
    story(
      options,
      "a row that cannot be read fails its own question, and no other",
      async (stage) => {
        const [held, spoilt, free] = ["held", "spoilt", "free"].map((name) =>
          stage.ask(stage.name(name)),
        );
        assert.ok(held !== undefined && spoilt !== undefined && free !== undefined);
        await granted(stage.theirs, held);
        const unspoil = await spoil(spoilt.resource);
        const asks = [{ ...held, leaseId: newLeaseId() }, spoilt, free];
        const seen = await stage.ours.current(asks.map(({ resource }) => resource));
        assert.deepEqual(
          seen.map((answer) =>
            answer !== undefined && "kind" in answer ? answer.kind : answer?.leaseId,
          ),
          [held.leaseId, "failed", undefined],
        );
        const answers = await stage.ours.acquire(asks);
        assert.deepEqual(
          answers.map(({ kind }) => kind),
          ["held", "failed", "granted"],
        );
        const renewals = await stage.ours.renew(asks.toReversed());
        assert.equal(renewals[0]?.kind, "renewed");
        assert.equal(await release(stage.ours, free), "released");
        await unspoil();
        await granted(stage.ours, spoilt);
      },
    );
  }

  story(options, "calls that overlap are answered each with its own", async (stage) => {
    const asks = Array.from({ length: RACED_FOR }, (_, n) => stage.ask(stage.name(String(n))));
    const answers = await Promise.all(asks.map((ask) => stage.ours.acquire([ask])));
    assert.deepEqual(
      answers.flat().map((answer) => holderOf(answer)),
      asks.map(({ leaseId }) => leaseId),
    );
  });
}

function holderOf(answer: AcquireAnswer | undefined): string | undefined {
  if (answer?.kind === "granted") return answer.lease.leaseId;
  return answer?.kind === "held" ? answer.holder.leaseId : undefined;
}
