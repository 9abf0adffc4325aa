import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { Backend } from "../../../src/lock/backend.js";
import { describeWithPostgresql } from "../../support/servers/postgresql.js";
import { ask, holder, keySql, Stage, take } from "./stage.js";

const HOUR_US = 3_600_000_000n;
const FLOOR = `'\\x'::bytea`;

describeWithPostgresql("postgresql, rows that nobody needs", () => {
  let stage: Stage;
  let backend: Backend;

  beforeAll(async () => {
    stage = await Stage.start();
  });

  afterAll(async () => {
    await stage[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    await stage.server.run("TRUNCATE stormlock_leases");
  });

  /** Makes the rows of these names older: the server's clock cannot be moved. */
  async function age(prefix: string, byUs: bigint): Promise<void> {
    await stage.server.run(
      `UPDATE stormlock_leases SET touched_us = touched_us - ${String(byUs)},
         expires_us = greatest(0, expires_us - ${String(byUs)})
       WHERE substring(resource FROM 1 FOR ${String(prefix.length)}) = ${keySql(prefix)}`,
    );
  }

  async function rows(prefix = ""): Promise<number> {
    const [row] = await stage.server.run(
      `SELECT count(*)::int AS n FROM stormlock_leases WHERE resource <> ${FLOOR}
         AND substring(resource FROM 1 FOR ${String(prefix.length)}) = ${keySql(prefix)}`,
    );
    return Number(row?.["n"]);
  }

  const names = (prefix: string, count: number): string[] =>
    Array.from({ length: count }, (_, n) => `${prefix}/${String(n)}`);

  // What is pruned is pruned behind the caller's back; a closed client has done it.
  async function make(newNames: readonly string[]): Promise<void> {
    await using maker = await stage.open();
    await maker.acquire(newNames.map((name) => ask(name)));
  }

  // The search goes round the table, from where it has come to: twice its length is enough.
  async function makeUntilGone(left = 0): Promise<void> {
    for (let n = 0; n < 10 && (await rows("old")) > left; n++) {
      await make(names(`made ${String(n)}`, 100));
    }
    expect(await rows("old")).toBe(left);
  }

  it("go a day after their lease has ended, as new ones come; others stay", async () => {
    {
      await using before = await stage.open();
      const old = names("old", 100).map((name) => ask(name));
      await before.acquire(old);
      await before.release(old.slice(0, 50)); // The other half ends by itself.
      await take(before, "held", { ttlMs: 60 * 3_600_000 });
      await before.release([await take(before, "recent")]);
    }
    await age("old", 25n * HOUR_US);
    await age("held", 25n * HOUR_US);
    await age("recent", 23n * HOUR_US);
    // Small steps: nobody pays for all of them at once.
    await make(["new/0"]);
    expect(await rows("old")).toBeGreaterThan(90);
    await makeUntilGone();
    expect([await rows("held"), await rows("recent"), await rows("new")]).toEqual([1, 1, 1]);
    await using after = await stage.open();
    expect((await holder(after, "held"))?.remainingMs).toBeGreaterThan(3_600_000);
  });

  it("leave a floor behind: tokens of what was pruned still grow", async () => {
    {
      await using before = await stage.open();
      await before.release([await take(before, "ahead")]);
    }
    const ahead = 9_000_000_000_000_000n; // A clock that was far ahead gave it.
    await stage.server.run(
      `UPDATE stormlock_leases SET token = ${String(ahead)} WHERE resource = ${keySql("ahead")}`,
    );
    await age("ahead", 25n * HOUR_US);
    await make(names("new", 10));
    expect(await rows("ahead")).toBe(0);
    await using after = await stage.open();
    const lease = await take(after, "ahead");
    expect(lease.token).toBe(ahead + 1n);
    expect((await after.list({ prefix: "", after: undefined, limit: 100 })).length).toBe(11);
    await after.check(); // It writes to the row of the floor.
    await after.release([lease]);
    expect((await take(after, "ahead")).token).toBe(ahead + 2n);
  });

  it("are made anew with the floor in mind by who saw them just before they went", async () => {
    backend = await stage.open();
    await backend.release([await take(backend, "race")]);
    const ahead = 9_000_000_000_000_000n;
    await using pruner = await stage.server.connect();
    await pruner.query("BEGIN");
    await pruner.query(`DELETE FROM stormlock_leases WHERE resource = ${keySql("race")}`);
    // It sees the row, cannot have it, and waits: to the end, or until its own patience ends. That
    // is an unknown outcome, and asking again is safe.
    const taking = take(backend, "race").then(
      ({ token }) => token,
      () => undefined,
    );
    await sleep(500);
    await pruner.query(
      `UPDATE stormlock_leases SET token = ${String(ahead)} WHERE resource = ${FLOOR}`,
    );
    await pruner.query("COMMIT");
    expect((await taking) ?? (await take(backend, "race")).token).toBe(ahead + 1n);
    await backend[Symbol.asyncDispose]();
  });

  it("are found by clients that live for one call each, too", async () => {
    const old = names("old", 40).map((name) => ask(name));
    {
      await using before = await stage.open();
      await before.acquire([...names("a", 40).map((name) => ask(name)), ...old]);
      await before.release(old);
    }
    await age("old", 25n * HOUR_US);
    for (let n = 0; n < 30 && (await rows("old")) > 0; n++) await make([`b/${String(n)}`]);
    expect(await rows("old")).toBe(0);
    expect(await rows("a")).toBe(40);
  });

  it("that somebody takes just then are not deleted under him", async () => {
    await using before = await stage.open();
    const old = names("old", 20);
    await before.release(await Promise.all(old.map((name) => take(before, name))));
    await age("old", 25n * HOUR_US);
    await using taker = await stage.server.connect();
    await taker.query("BEGIN");
    await taker.query(
      `UPDATE stormlock_leases SET lease_id = 'mine', touched_us = touched_us + ${String(25n * HOUR_US)},
         expires_us = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + 60000000
       WHERE resource = ${keySql("old/7")}`,
    );
    await makeUntilGone(1); // Passes over the row instead of waiting for it.
    await taker.query("COMMIT");
    await make(names("newer", 100));
    expect((await holder(before, "old/7"))?.leaseId).toBe("mine");
  });

  it("are pruned by several at once, and the floor is the highest of all", async () => {
    const old = names("old", 400);
    {
      await using before = await stage.open();
      const asks = old.map((name) => ask(name));
      await before.acquire(asks);
      await before.release(asks);
    }
    const top = 9_100_000_000_000_000n;
    await stage.server.run(
      `UPDATE stormlock_leases SET token = ${String(top)} WHERE resource = ${keySql("old/123")}`,
    );
    await age("old", 25n * HOUR_US);
    await Promise.all(["a", "b", "c", "d"].map((prefix) => make(names(prefix, 150))));
    await makeUntilGone(); // Those at once have looked at some rows twice.
    await using after = await stage.open();
    expect((await take(after, "old/5")).token).toBe(top + 1n);
  });
});
