// What happens between two sessions, with the pauses that make it happen.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newLeaseId, type Lease } from "../../../src/lock/lease.js";
import type { Backend } from "../../../src/lock/backend.js";
import { describeWithPostgresql } from "../../support/servers/postgresql.js";
import { ask, holder, keySql, ROLE, Stage, take } from "./stage.js";

// Shorter than a statement waits for a lock.
const PAUSE_MS = 600;
const SHORT_TTL_MS = 300;

describeWithPostgresql("postgresql, two sessions", () => {
  let stage: Stage;
  let backend: Backend;

  beforeAll(async () => {
    // Who is in whose way is found out at once.
    stage = await Stage.start({ config: { deadlock_timeout: "50ms" } });
    backend = await stage.open();
  });

  afterAll(async () => {
    await backend[Symbol.asyncDispose]();
    await stage[Symbol.asyncDispose]();
  });

  /** Keeps a row locked while `during` runs, changes it if told to, and lets it go. */
  async function whileLocked<T>(
    resource: string,
    during: () => Promise<T>,
    change?: string,
  ): Promise<T> {
    await using other = await stage.server.connect();
    await other.query("BEGIN");
    await other.query(
      `SELECT FROM stormlock_leases WHERE resource = ${keySql(resource)} FOR UPDATE`,
    );
    const work = during();
    await sleep(PAUSE_MS);
    if (change !== undefined) {
      await other.query(
        `UPDATE stormlock_leases SET ${change} WHERE resource = ${keySql(resource)}`,
      );
    }
    await other.query("COMMIT");
    return await work;
  }

  it("a token is computed after the wait for the row, from what is then in it", async () => {
    await backend.release([await take(backend, "token")]);
    const theirs = (await take(backend, "other")).token + 10n ** 12n;
    const next = await whileLocked(
      "token",
      () => take(backend, "token"),
      `token = ${String(theirs)}`,
    );
    expect(next.token).toBe(theirs + 1n);
  });

  it("a lease that ended while its renewal waited for the row is lost", async () => {
    const lease = await take(backend, "renewed late", { ttlMs: SHORT_TTL_MS });
    const answers = await whileLocked("renewed late", () =>
      backend.renew([{ ...lease, ttlMs: 60_000 }]),
    );
    expect(answers).toEqual([{ kind: "lost" }]);
    expect(await holder(backend, "renewed late")).toBeUndefined();
  });

  it("a lease that ended while its release or its repetition waited has ended", async () => {
    const released = await take(backend, "released late", { ttlMs: SHORT_TTL_MS });
    const [release] = await whileLocked("released late", () => backend.release([released]));
    expect(release).toEqual({ kind: "not-held" });
    const repeated = ask("repeated late", { ttlMs: SHORT_TTL_MS });
    await backend.acquire([repeated]);
    const [again] = await whileLocked("repeated late", () => backend.acquire([repeated]));
    expect(again?.kind).toBe("spent");
  });

  it("an expiry is counted from after the wait for the row", async () => {
    await backend.release([await take(backend, "counted")]);
    const lease = await whileLocked("counted", () => take(backend, "counted", { ttlMs: 500 }));
    expect(lease.remainingMs).toBeGreaterThan(450);
    expect(await holder(backend, "counted")).toBeDefined();
  });

  it("who waits for a row that another takes meanwhile is told of the holder", async () => {
    await backend.release([await take(backend, "taken")]);
    const answers = await whileLocked(
      "taken",
      () => backend.acquire([ask("taken")]),
      `lease_id = 'theirs', principal = 'bob', token = token + 5,
       expires_us = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + 60000000`,
    );
    const [answer] = answers;
    expect(answer?.kind === "held" && answer.holder.principal).toBe("bob");
  });

  it("a renewal of what another took over meanwhile is lost and changes nothing", async () => {
    const lease = await take(backend, "taken over");
    const theirs = `lease_id = 'theirs', token = token + 5, revision = revision + 1`;
    const answers = await whileLocked(
      "taken over",
      () => backend.renew([{ ...lease, ttlMs: 90_000 }]),
      theirs,
    );
    expect(answers).toEqual([{ kind: "lost" }]);
    const now = await holder(backend, "taken over");
    expect([now?.leaseId, now?.revision, now?.ttlMs]).toEqual([
      "theirs",
      lease.revision + 1n,
      60_000,
    ]);
  });

  it("a row that somebody keeps locked holds up no other of its batch", async () => {
    const names = ["free 1", "stuck", "free 2", "new 3"];
    for (const name of names.slice(0, 3)) await backend.release([await take(backend, name)]);
    await using other = await stage.server.connect();
    await other.query("BEGIN");
    await other.query(
      `SELECT FROM stormlock_leases WHERE resource = ${keySql("stuck")} FOR UPDATE`,
    );

    const asks = names.map((name) => ask(name));
    const startedMs = performance.now();
    const answers = await backend.acquire(asks);
    expect(answers.map(({ kind }) => kind)).toEqual(["granted", "failed", "granted", "granted"]);
    expect(answers[1]?.kind === "failed" && answers[1].error.message).toMatch(/keeps a lock on/u);
    // And others do not even wait for it.
    const waiting = backend.acquire([ask("stuck")]);
    const beforeMs = performance.now();
    await backend.renew([asks[0], asks[2]].flatMap((one) => (one ? [one] : [])));
    await take(backend, "free 4");
    expect(performance.now() - beforeMs).toBeLessThan(500);
    await expect(waiting).rejects.toMatchObject({ kind: "unavailable" });
    expect(performance.now() - startedMs).toBeLessThan(5000);

    await other.query("ROLLBACK");
    expect((await backend.acquire([ask("stuck")]))[0]?.kind).toBe("granted");
  });

  it("a locked table fails the call within its limit, and is used again afterwards", async () => {
    const lease = await take(backend, "table");
    await using other = await stage.server.connect();
    await other.query("BEGIN");
    await other.query("LOCK TABLE stormlock_leases");
    const startedMs = performance.now();
    await expect(backend.renew([{ ...lease, ttlMs: undefined }])).rejects.toMatchObject({
      kind: "unavailable",
    });
    expect(performance.now() - startedMs).toBeLessThan(5000);
    await other.query("ROLLBACK");
    const [answer] = await backend.renew([{ ...lease, ttlMs: undefined }]);
    expect(answer?.kind === "renewed" && answer.lease.token).toBe(lease.token);
  });

  it("what is held by another is seen without a lock, and nothing is written", async () => {
    const lease = await take(backend, "busy");
    const row = (): Promise<unknown> =>
      stage.server.run(
        `SELECT ctid::text, xmin::text, xmax::text FROM stormlock_leases WHERE resource = ${keySql("busy")}`,
      );
    const refuse = async (): Promise<void> => {
      const [answer] = await backend.acquire([ask("busy")]);
      expect(answer?.kind === "held" && answer.holder.leaseId).toBe(lease.leaseId);
    };
    const before = await row();
    for (let n = 0; n < 20; n++) await refuse();
    expect(await row()).toEqual(before);
    // Not even another's lock on the row matters.
    await whileLocked("busy", async () => {
      const startedMs = performance.now();
      await refuse();
      expect(performance.now() - startedMs).toBeLessThan(PAUSE_MS / 2);
    });
  });

  it("a release leaves the row, with its token and its id", async () => {
    const lease = await take(backend, "tombstone");
    await backend.release([lease]);
    const rows = await stage.server.run(
      `SELECT lease_id, token, expires_us FROM stormlock_leases WHERE resource = ${keySql("tombstone")}`,
    );
    expect(rows).toEqual([
      { lease_id: lease.leaseId, token: String(lease.token), expires_us: "0" },
    ]);
  });

  describe("who waits for several rows waits for them in the order of their names", () => {
    const names = ["order/a", "order/m", "order/z"];

    /** Lets two sessions ask, each of which could have one end, then the middle, then the other end. */
    async function cross<T>(asking: (client: Backend, order: number) => Promise<T>): Promise<T[]> {
      await using ends = await stage.server.connect();
      await using middle = await stage.server.connect();
      await using theirs = await stage.open();
      const lock = (...locked: readonly string[]): string =>
        `SELECT FROM stormlock_leases WHERE resource IN (${locked.map(keySql).join(", ")}) FOR UPDATE`;
      for (const client of [ends, middle]) await client.query("BEGIN");
      await ends.query(lock("order/a", "order/z"));
      await middle.query(lock("order/m"));
      const both = Promise.all([asking(backend, 1), asking(theirs, -1)]);
      await sleep(300);
      await ends.query("COMMIT");
      await sleep(300);
      await middle.query("COMMIT");
      return await both;
    }

    const inOrder = <T>(items: readonly T[], order: number): readonly T[] =>
      order > 0 ? items : [...items].reverse();

    it("to take them", async () => {
      for (const name of names) await backend.release([await take(backend, name)]);
      const answers = await cross((client, order) =>
        client.acquire(inOrder(names, order).map((name) => ask(name))),
      );
      expect(answers.map((each) => new Set(each.map(({ kind }) => kind)).size)).toEqual([1, 1]);
      expect(new Set(answers.flat().map(({ kind }) => kind))).toEqual(new Set(["granted", "held"]));
      for (const answer of answers.flat()) {
        if (answer.kind === "granted") await backend.release([answer.lease]);
      }
    });

    it("to renew and to release them", async () => {
      const leases: Lease[] = [];
      for (const name of names) leases.push(await take(backend, name));
      const asks = leases.map((lease) => ({ ...lease, ttlMs: undefined }));
      const renewals = await cross((client, order) => client.renew(inOrder(asks, order)));
      expect(new Set(renewals.flat().map(({ kind }) => kind))).toEqual(new Set(["renewed"]));
      const releases = await cross((client, order) => client.release(inOrder(leases, order)));
      expect(
        releases
          .flat()
          .map(({ kind }) => kind)
          .sort(),
      ).toEqual([...names.map(() => "not-held"), ...names.map(() => "released")]);
    });

    it("to make them", async () => {
      await using other = await stage.server.connect();
      await using theirs = await stage.open();
      const made = names.map((name) => `made/${name}`);
      await other.query("BEGIN");
      await other.query(
        `INSERT INTO stormlock_leases (resource, lease_id, principal, token, created_us, expires_us,
           ttl_ms, revision, touched_us, reason, labels)
         VALUES (${keySql(made[1] ?? "")}, '', '', 0, 0, 0, 0, 0, 0, '', '{}')`,
      );
      const both = Promise.all([
        backend.acquire(made.map((name) => ask(name))),
        theirs.acquire([...made].reverse().map((name) => ask(name))),
      ]);
      await sleep(300);
      await other.query("ROLLBACK");
      expect(
        (await both)
          .flat()
          .map(({ kind }) => kind)
          .sort(),
      ).toEqual([...names.map(() => "granted"), ...names.map(() => "held")]);
    });
  });

  it("a row that stays locked costs others that were waited for with it nothing", async () => {
    const names = ["wait/1 stuck", "wait/2 freed"];
    for (const name of names) await backend.release([await take(backend, name)]);
    await using stuck = await stage.server.connect();
    await using freed = await stage.server.connect();
    for (const [index, client] of [stuck, freed].entries()) {
      await client.query("BEGIN");
      await client.query(
        `SELECT FROM stormlock_leases WHERE resource = ${keySql(names[index] ?? "")} FOR UPDATE`,
      );
    }
    const asking = backend.acquire(names.map((name) => ask(name)));
    await sleep(300);
    await freed.query("COMMIT");
    expect((await asking).map(({ kind }) => kind)).toEqual(["failed", "granted"]);
    await stuck.query("COMMIT");
  });

  it("races end the same where the role's transactions are serializable", async () => {
    await stage.server.run(`ALTER ROLE ${ROLE} SET default_transaction_isolation = 'serializable'`);
    await using ours = await stage.open();
    const lease = await take(ours, "serializable");
    await whileLocked("serializable", () => ours.renew([lease])); // All connections are there.
    await stage.server.run(`ALTER ROLE ${ROLE} RESET default_transaction_isolation`);
    const [answer] = await whileLocked(
      "serializable",
      () => ours.renew([{ ...lease, ttlMs: undefined }]),
      "revision = revision + 1",
    );
    expect(answer?.kind === "renewed" && answer.lease.revision).toBe(lease.revision + 3n);
  });

  it("calls that overlap share their commits, and each has its own answer", async () => {
    const asks = Array.from({ length: 300 }, (_, n) => ask(`shared/${String(n)}`));
    await backend.acquire(asks);
    const transaction = async (): Promise<number> => {
      const [row] = await stage.server.run("SELECT txid_current()::text AS id");
      return Number(row?.["id"]);
    };
    const before = await transaction();
    const renewals = await Promise.all(
      asks.map(({ resource, leaseId }, n) =>
        backend.renew([{ resource, leaseId: n % 3 === 0 ? "another" : leaseId, ttlMs: 90_000 }]),
      ),
    );
    expect((await transaction()) - before).toBeLessThan(10);
    for (const [n, answers] of renewals.entries()) {
      const [answer] = answers;
      if (n % 3 === 0) expect(answer?.kind).toBe("lost");
      else expect(answer?.kind === "renewed" && answer.lease.resource).toBe(asks[n]?.resource);
    }
    // More than fits into one statement.
    const many = Array.from({ length: 12 }, (_, call) =>
      Array.from({ length: 180 }, (_, n) => ask(`many/${String(call)}/${String(n)}`)),
    );
    const granted = (await Promise.all(many.map((each) => backend.acquire(each)))).flat();
    expect(granted.map((answer) => answer.kind === "granted" && answer.lease.leaseId)).toEqual(
      many.flat().map(({ leaseId }) => leaseId),
    );
  });

  it("a renewal counts from the sign of life that it rests on", async () => {
    const lease = await take(backend, "aged", { ttlMs: 1000 });
    const [answer] = await backend.renew([{ ...lease, ttlMs: 60_000, ageMs: 20_000 }]);
    expect(answer?.kind === "renewed" && answer.lease.remainingMs).toBeLessThanOrEqual(40_000);
    expect(answer?.kind === "renewed" && answer.lease.remainingMs).toBeGreaterThan(30_000);
  });

  it("a NUL, which no text of the server's can have, harms nobody else in its batch", async () => {
    const answers = await backend.acquire([ask("nul", { reason: "a\0b" }), ask("beside nul")]);
    expect(answers.map(({ kind }) => kind)).toEqual(["granted", "granted"]);
    expect((await holder(backend, "nul"))?.reason).toBe("a\ufffdb");
  });

  it("clients that hammer the same rows in any order never deadlock", async () => {
    const clients = await Promise.all([1, 2, 3].map(() => stage.open()));
    const shuffled = (): string[] =>
      Array.from({ length: 40 }, (_, n) => ({ name: `hammer/${String(n)}`, by: Math.random() }))
        .sort((a, b) => a.by - b.by)
        .map(({ name }) => name);
    const holders = new Map<string, string>();
    let grants = 0;
    const hammer = async (client: Backend): Promise<void> => {
      for (let round = 0; round < 60; round++) {
        const asks = shuffled().map((name) => ask(name));
        const answers = await client.acquire(asks);
        const mine = asks.filter((_, index) => answers[index]?.kind === "granted");
        expect(answers.filter(({ kind }) => kind === "failed")).toEqual([]);
        for (const { resource, leaseId } of mine) {
          expect(holders.get(resource)).toBeUndefined();
          holders.set(resource, leaseId);
          grants += 1;
        }
        const renewals = await client.renew([...mine].reverse());
        expect(renewals.map(({ kind }) => kind)).toEqual(mine.map(() => "renewed"));
        for (const { resource } of mine) holders.delete(resource);
        const releases = await client.release(mine);
        expect(releases.map(({ kind }) => kind)).toEqual(mine.map(() => "released"));
      }
    };
    await Promise.all(clients.map(hammer));
    for (const client of clients) await client[Symbol.asyncDispose]();
    expect(grants).toBeGreaterThan(60);
    await stage.server.run("SELECT pg_stat_force_next_flush()").catch(() => undefined);
    const [row] = await stage.server.run(
      "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
    );
    expect(row).toEqual({ deadlocks: "0" });
  });

  it("tokens of one resource grow however many take it by turns", async () => {
    const clients = await Promise.all([1, 2].map(() => stage.open()));
    const granted: bigint[] = [];
    const play = async (client: Backend): Promise<void> => {
      for (let round = 0; round < 100; round++) {
        const one = ask("turns", { leaseId: newLeaseId() });
        const [answer] = await client.acquire([one]);
        if (answer?.kind !== "granted") continue;
        granted.push(answer.lease.token);
        await client.release([one]);
      }
    };
    await Promise.all(clients.map(play));
    for (const client of clients) await client[Symbol.asyncDispose]();
    expect(granted.length).toBeGreaterThan(20);
    expect(granted).toEqual([...granted].sort((a, b) => (a < b ? -1 : 1)));
    expect(new Set(granted).size).toBe(granted.length);
  });
});
