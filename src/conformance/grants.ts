// One resource at a time: who gets it, keeps it and loses it (B1-B5).

import assert from "node:assert/strict";
import { newLeaseId } from "../lock/lease.js";
import {
  acquire,
  current,
  granted,
  identity,
  LONG_TTL_MS,
  release,
  renew,
  story,
  type ConformanceOptions,
} from "./stage.js";

export function grantStories(options: ConformanceOptions): void {
  story(options, "a free resource is granted, with all that was said about it", async (stage) => {
    const ask = stage.ask(stage.name(), {
      ...{ principal: "Zoë <zoe@ci-7>", reason: 'rolling "out" 4.2 – ünïcode 🚀 %s \\' },
      labels: { build: "4711", "a.b/c": "", empty: "", quote: `'";--` },
    });
    const lease = await granted(stage.ours, ask);
    const { ttlMs, ...said } = ask;
    for (const seen of [lease, await current(stage.theirs, ask.resource)]) {
      assert.ok(seen);
      const { resource, leaseId, principal, reason, labels } = seen;
      assert.deepEqual({ resource, leaseId, principal, reason, labels: { ...labels } }, said);
      assert.ok(seen.ttlMs >= ttlMs);
      assert.ok(seen.remainingMs > 0 && seen.remainingMs <= seen.ttlMs);
      assert.ok(seen.token > 0n && seen.token === lease.token);
      assert.ok(seen.expiresAtUs > seen.createdAtUs);
    }
  });

  story(options, "a held resource is refused to others, with its holder", async (stage) => {
    const lease = await granted(stage.ours, stage.ask(stage.name()));
    for (const client of [stage.ours, stage.theirs]) {
      const answer = await acquire(client, stage.ask(lease.resource, { principal: "bob" }));
      assert.ok(answer.kind === "held");
      assert.deepEqual(identity(answer.holder), identity(lease));
      assert.ok(answer.holder.remainingMs > 0);
    }
    assert.deepEqual(identity(await current(stage.ours, lease.resource)), identity(lease));
  });

  story(
    options,
    "a released resource is granted to the next, with a greater token",
    async (stage) => {
      const first = await granted(stage.ours, stage.ask(stage.name()));
      assert.equal(await release(stage.ours, first), "released");
      assert.equal(await current(stage.theirs, first.resource), undefined);
      assert.equal(await release(stage.ours, first), "not-held");
      const second = await granted(stage.theirs, stage.ask(first.resource));
      assert.ok(second.token > first.token);
    },
  );

  story(
    options,
    "asking again with the same id finds the same lease and extends it",
    async (stage) => {
      const ask = stage.ask(stage.name(), { ttlMs: stage.shortTtlMs, reason: "first" });
      const lease = await granted(stage.ours, ask);
      const again = { ...ask, ttlMs: LONG_TTL_MS, principal: "bob", reason: "second" };
      for (const client of [stage.ours, stage.theirs]) {
        const answer = await acquire(client, again);
        assert.ok(answer.kind === "granted");
        assert.equal(answer.created, false);
        assert.equal(answer.lease.token, lease.token);
        assert.equal(answer.lease.principal, ask.principal);
        assert.equal(answer.lease.reason, "first");
        assert.ok(answer.lease.revision > lease.revision);
        assert.ok(answer.lease.ttlMs >= LONG_TTL_MS);
      }
      await stage.outliveShortTtl();
      assert.equal((await current(stage.ours, ask.resource))?.token, lease.token);
    },
  );

  story(options, "the id of a released lease is spent", async (stage) => {
    const ask = stage.ask(stage.name());
    const lease = await granted(stage.ours, ask);
    assert.equal(await release(stage.ours, lease), "released");
    for (const client of [stage.ours, stage.theirs]) {
      assert.equal((await acquire(client, ask)).kind, "spent");
    }
    assert.equal(await current(stage.ours, ask.resource), undefined);
    const next = await granted(stage.theirs, stage.ask(ask.resource));
    assert.equal((await acquire(stage.ours, ask)).kind, "held");
    assert.deepEqual(identity(await current(stage.ours, ask.resource)), identity(next));
  });

  story(options, "the id of an expired lease is spent", async (stage) => {
    const ask = stage.ask(stage.name(), { ttlMs: stage.shortTtlMs });
    const lease = await granted(stage.ours, ask);
    await stage.outliveShortTtl();
    for (const client of [stage.ours, stage.theirs]) {
      assert.equal((await acquire(client, ask)).kind, "spent");
    }
    const next = await granted(stage.theirs, stage.ask(ask.resource));
    assert.ok(next.token > lease.token);
  });

  story(options, "an expired lease is not brought back by renewal or release", async (stage) => {
    const lease = await granted(stage.ours, stage.ask(stage.name(), { ttlMs: stage.shortTtlMs }));
    await stage.outliveShortTtl();
    assert.equal(await current(stage.theirs, lease.resource), undefined);
    assert.equal(await renew(stage.ours, lease, LONG_TTL_MS), undefined);
    assert.equal(await release(stage.ours, lease), "not-held");
    assert.equal(await current(stage.ours, lease.resource), undefined);
  });

  story(options, "a lease that was taken over stays with the new holder", async (stage) => {
    const ask = stage.ask(stage.name(), { ttlMs: stage.shortTtlMs });
    const old = await granted(stage.ours, ask);
    await stage.outliveShortTtl();
    const lease = await granted(stage.theirs, stage.ask(ask.resource, { principal: "bob" }));
    assert.ok(lease.token > old.token);
    assert.equal(await renew(stage.ours, old, LONG_TTL_MS), undefined);
    assert.equal(await release(stage.ours, old), "not-held");
    assert.equal(await release(stage.ours, old, old.revision), "not-held");
    assert.equal((await acquire(stage.ours, ask)).kind, "held");
    assert.deepEqual(identity(await current(stage.theirs, ask.resource)), identity(lease));
    assert.ok(await renew(stage.theirs, lease));
    assert.equal(await release(stage.theirs, lease), "released");
  });

  story(options, "a stranger's lease id renews and releases nothing", async (stage) => {
    const lease = await granted(stage.ours, stage.ask(stage.name()));
    const stranger = { resource: lease.resource, leaseId: newLeaseId() };
    assert.equal(await renew(stage.theirs, stranger, LONG_TTL_MS), undefined);
    assert.equal(await release(stage.theirs, stranger), "not-held");
    assert.equal(await release(stage.theirs, stranger, lease.revision), "not-held");
    const elsewhere = { resource: stage.name("other"), leaseId: lease.leaseId };
    assert.equal(await renew(stage.ours, elsewhere), undefined);
    assert.equal(await release(stage.ours, elsewhere), "not-held");
    assert.deepEqual(identity(await current(stage.ours, lease.resource)), identity(lease));
  });

  story(options, "a renewal extends a lease and keeps its token", async (stage) => {
    const lease = await granted(stage.ours, stage.ask(stage.name(), { ttlMs: stage.shortTtlMs }));
    const renewed = await renew(stage.theirs, lease, LONG_TTL_MS);
    assert.equal(renewed?.token, lease.token);
    assert.ok(renewed.revision > lease.revision);
    assert.equal(renewed.createdAtUs, lease.createdAtUs);
    await stage.outliveShortTtl();
    const later = await renew(stage.ours, lease);
    assert.equal(later?.token, lease.token);
    assert.equal(later.ttlMs, renewed.ttlMs);
    assert.ok(later.remainingMs > LONG_TTL_MS / 2);
  });

  story(options, "a lease never ends earlier because it was renewed for less", async (stage) => {
    const ask = stage.ask(stage.name());
    const lease = await granted(stage.ours, ask);
    const renewed = await renew(stage.ours, lease, stage.shortTtlMs);
    assert.ok(renewed && renewed.remainingMs > LONG_TTL_MS / 2);
    const replayed = await acquire(stage.ours, { ...ask, ttlMs: stage.shortTtlMs });
    assert.ok(replayed.kind === "granted" && replayed.lease.remainingMs > LONG_TTL_MS / 2);
    await stage.outliveShortTtl();
    assert.equal((await acquire(stage.theirs, stage.ask(ask.resource))).kind, "held");
  });

  story(
    options,
    "a late renewal gives a lease what is left of its ttl, and not less",
    async (stage) => {
      const lease = await granted(stage.ours, stage.ask(stage.name(), { ttlMs: stage.shortTtlMs }));
      const late = { ...lease, ttlMs: LONG_TTL_MS, ageMs: LONG_TTL_MS / 3 };
      assert.equal((await stage.ours.renew([late]))[0]?.kind, "renewed");
      const left = (await current(stage.theirs, lease.resource))?.remainingMs ?? 0;
      assert.ok(left > LONG_TTL_MS / 2);
      const later = { ...lease, ttlMs: LONG_TTL_MS, ageMs: LONG_TTL_MS - 1 };
      assert.equal((await stage.theirs.renew([later]))[0]?.kind, "renewed");
      assert.ok(((await current(stage.ours, lease.resource))?.remainingMs ?? 0) > LONG_TTL_MS / 2);
    },
  );

  story(
    options,
    "a conditional release ends only a lease that nobody has touched",
    async (stage) => {
      const untouched = await granted(stage.ours, stage.ask(stage.name("untouched")));
      assert.equal(await release(stage.theirs, untouched, untouched.revision), "released");
      assert.equal(await current(stage.ours, untouched.resource), undefined);

      const renewed = await granted(stage.ours, stage.ask(stage.name("renewed")));
      const after = await renew(stage.ours, renewed);
      assert.equal(await release(stage.theirs, renewed, renewed.revision), "not-held");
      assert.ok(await current(stage.ours, renewed.resource));
      assert.equal(await release(stage.theirs, renewed, after?.revision), "released");

      const ask = stage.ask(stage.name("replayed"));
      const replayed = await granted(stage.ours, ask);
      await granted(stage.theirs, ask);
      assert.equal(await release(stage.ours, replayed, replayed.revision), "not-held");
      assert.ok(await current(stage.ours, replayed.resource));
    },
  );

  story(options, "tokens grow across release, expiry and a new connection", async (stage) => {
    const resource = stage.name();
    let last = 0n;
    for (let round = 0; round < 20; round++) {
      const client = round % 2 === 0 ? stage.ours : stage.theirs;
      const lease = await granted(client, stage.ask(resource));
      assert.ok(lease.token > last);
      last = lease.token;
      assert.equal(await release(client, lease), "released");
    }
    const short = await granted(stage.ours, stage.ask(resource, { ttlMs: stage.shortTtlMs }));
    assert.ok(short.token > last);
    await stage.outliveShortTtl();
    await stage.ours[Symbol.asyncDispose]();
    await stage.theirs[Symbol.asyncDispose]();
    await using anew = await options.open();
    assert.ok((await granted(anew, stage.ask(resource))).token > short.token);
  });
}
