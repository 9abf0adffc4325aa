// The network and the server at their worst.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import type { Backend } from "../../../src/lock/backend.js";
import { describeWithPostgresql } from "../../support/servers/postgresql.js";
import { Proxy } from "../../support/proxy.js";
import { SpoilingProxy } from "./spoiling-proxy.js";
import { leaseIn } from "../../../src/lock/unreadable.js";
import { ask, holder, keySql, ROLE, Stage, take } from "./stage.js";

const UNAVAILABLE = { name: "LockError", kind: "unavailable" };

describeWithPostgresql("postgresql in trouble", () => {
  let stage: Stage;
  let backend: Backend;

  beforeAll(async () => {
    stage = await Stage.start();
    backend = await stage.open();
  });

  afterAll(async () => {
    await backend[Symbol.asyncDispose]();
    await stage[Symbol.asyncDispose]();
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  it("an acquire whose answer was lost finds its own lease", async () => {
    await using proxy = await SpoilingProxy.open(stage.server.port);
    await using ours = await stage.open({ connection: stage.roleUrl(proxy.port) });
    await ours.release([await take(ours, "lost acquire")]);
    await ours.check(); // Its answer comes after that of whatever goes on in the background.
    const one = ask("lost acquire");
    await proxy.losingAnswers(() => expect(ours.acquire([one])).rejects.toMatchObject(UNAVAILABLE));
    const granted = await holder(backend, "lost acquire");
    expect(granted?.leaseId).toBe(one.leaseId);
    const [again] = await ours.acquire([one]);
    expect(again?.kind === "granted" && [again.created, again.lease.token]).toEqual([
      false,
      granted?.token,
    ]);
    expect((await backend.acquire([ask("lost acquire")]))[0]?.kind).toBe("held");
  });

  it("a first acquire of a name, cut at any of its answers, is granted once", async () => {
    await using proxy = await SpoilingProxy.open(stage.server.port);
    await using ours = await stage.open({ connection: stage.roleUrl(proxy.port) });
    let cut = 0;
    for (let passed = 0; passed < 4; passed++) {
      const one = ask(`lost first acquire ${String(passed)}`);
      await ours.check(); // So that this connection is there.
      const [first] = await proxy.losingAnswers(() => ours.acquire([one]).catch(() => []), passed);
      if (first?.kind !== "granted") cut += 1;
      const before = await holder(backend, one.resource);
      const [again] = await ours.acquire([one]);
      expect(again?.kind === "granted" && again.lease.leaseId).toBe(one.leaseId);
      if (before !== undefined)
        expect((await holder(backend, one.resource))?.token).toBe(before.token);
      expect((await backend.acquire([ask(one.resource)]))[0]?.kind).toBe("held");
    }
    expect(cut).toBeGreaterThan(1);
  });

  it("a renewal whose answer was lost has renewed, and is asked again for nothing lost", async () => {
    await using proxy = await SpoilingProxy.open(stage.server.port);
    await using ours = await stage.open({ connection: stage.roleUrl(proxy.port) });
    const lease = await take(ours, "lost renewal", { ttlMs: 2000 });
    await ours.renew([{ ...lease, ttlMs: 2000 }]); // So that this connection is there.
    const longer = { ...lease, ttlMs: 50_000 };
    await proxy.losingAnswers(() =>
      expect(ours.renew([longer])).rejects.toMatchObject(UNAVAILABLE),
    );
    expect((await holder(backend, "lost renewal"))?.remainingMs).toBeGreaterThan(40_000);
    const [again] = await ours.renew([longer]);
    expect(again?.kind === "renewed" && again.lease.token).toBe(lease.token);
  });

  it("a release whose answer was lost has released, and harms no later holder", async () => {
    await using proxy = await SpoilingProxy.open(stage.server.port);
    await using ours = await stage.open({ connection: stage.roleUrl(proxy.port) });
    const lease = await take(ours, "lost release");
    await ours.check(); // Its answer comes after that of whatever goes on in the background.
    await proxy.losingAnswers(() =>
      expect(ours.release([lease])).rejects.toMatchObject(UNAVAILABLE),
    );
    const next = await take(backend, "lost release");
    expect(next.token).toBeGreaterThan(lease.token);
    expect(await ours.release([lease])).toEqual([{ kind: "not-held" }]);
    expect((await holder(ours, "lost release"))?.token).toBe(next.token);
  });

  it("a connection that answers too late is left, and the next call has another", async () => {
    await using proxy = await Proxy.open(`127.0.0.1:${String(stage.server.port)}`);
    const port = Number(proxy.address.split(":")[1]);
    await using ours = await stage.open({ connection: stage.roleUrl(port), timeout: "600ms" });
    const lease = await take(ours, "late");
    const before = proxy.connections;
    proxy.freezeOpen();
    const startedMs = performance.now();
    const calls = await Promise.allSettled([
      ours.acquire([ask("late 2")]),
      ours.release([{ ...lease, leaseId: "another" }]),
      ours.check(),
    ]);
    expect(performance.now() - startedMs).toBeLessThan(4000);
    for (const call of calls) {
      expect(call).toMatchObject({ status: "rejected", reason: UNAVAILABLE });
    }
    expect((await ours.acquire([ask("late 3")]))[0]?.kind).toBe("granted");
    expect(proxy.connections).toBeGreaterThan(before);
    proxy.pass({ kind: "free" }); // What was held back is not taken for the answers to come.
    expect((await holder(ours, "late"))?.leaseId).toBe(lease.leaseId);
    expect((await ours.acquire([ask("late 3")]))[0]?.kind).toBe("held");
  });

  it("a call that travels with a late one has all of its own time", async () => {
    await using proxy = await Proxy.open(`127.0.0.1:${String(stage.server.port)}`);
    const port = Number(proxy.address.split(":")[1]);
    await using ours = await stage.open({ connection: stage.roleUrl(port), timeout: "3s" });
    await ours.check();
    proxy.freezeOpen();
    const answerless = ours.acquire([ask("travel 1")]).catch(() => "failed");
    await sleep(5);
    const late = ours.acquire([ask("travel 2")]).catch(() => "failed");
    await sleep(1500);
    const [answer] = await ours.acquire([ask("travel 3")]);
    expect(answer?.kind).toBe("granted");
    expect(await answerless).toBe("failed");
    await late;
  });

  it("a server that nobody reaches fails every call in time, and grows nothing", async () => {
    await using proxy = await Proxy.open(`127.0.0.1:${String(stage.server.port)}`);
    const port = Number(proxy.address.split(":")[1]);
    await using ours = await stage.open({ connection: stage.roleUrl(port), timeout: "600ms" });
    proxy.freeze();
    for (let round = 0; round < 3; round++) {
      const startedMs = performance.now();
      const calls = await Promise.allSettled(
        Array.from({ length: 100 }, () => ours.current(["nobody"])),
      );
      expect(calls.filter(({ status }) => status === "fulfilled")).toEqual([]);
      expect(performance.now() - startedMs).toBeLessThan(4000);
    }
    expect(proxy.connections).toBeLessThan(10);
    proxy.cut();
    proxy.pass({ kind: "free" });
    expect(await ours.current(["nobody"])).toEqual([undefined]);
  });

  it("a server frozen for 4 s loses nothing", async () => {
    const lease = await take(backend, "frozen", { ttlMs: 15_000 });
    stage.server.freeze();
    const renewing = backend.renew([{ ...lease, ttlMs: undefined }]);
    await sleep(4000);
    stage.server.thaw();
    const [answer] = await renewing;
    expect(answer?.kind === "renewed" && answer.lease.token).toBe(lease.token);
  });

  it("a server frozen beyond the limit is used again by the next call", async () => {
    await using ours = await stage.open({ timeout: "1s" });
    const lease = await take(ours, "frozen long", { ttlMs: 15_000 });
    stage.server.freeze();
    const startedMs = performance.now();
    await expect(ours.renew([{ ...lease, ttlMs: undefined }])).rejects.toMatchObject(UNAVAILABLE);
    expect(performance.now() - startedMs).toBeLessThan(4000);
    stage.server.thaw();
    expect((await ours.renew([{ ...lease, ttlMs: undefined }]))[0]?.kind).toBe("renewed");
  });

  it.each(["SIGINT", "SIGQUIT"] as const)(
    "a server that was ended by %s is back with its data, and tokens grow on",
    async (signal) => {
      const heard: (string | undefined)[] = [];
      const stop = backend.watch?.((resource) => heard.push(resource));
      const name = `restarted by ${signal}`;
      const kept = await take(backend, `${name}, kept`);
      const released = await take(backend, name);
      await backend.release([released]);
      await stage.server.stop(signal);
      await expect(backend.acquire([ask(name)])).rejects.toMatchObject(UNAVAILABLE);
      await stage.server.resume();
      const [answer] = await backend.renew([{ ...kept, ttlMs: undefined }]);
      expect(answer?.kind === "renewed" && answer.lease.token).toBe(kept.token);
      const next = await take(backend, name);
      expect(next.token).toBeGreaterThan(released.token);
      // Listening goes on, too.
      heard.length = 0;
      await using theirs = await stage.open();
      await expect
        .poll(
          async () => {
            await theirs.release([await take(theirs, `${name}, told`)]);
            return heard;
          },
          { timeout: 10_000, interval: 200 },
        )
        .toContain(`${name}, told`);
      stop?.();
    },
  );

  it("a commit that did not reach its standby is unknown, not a success", async () => {
    // A role that does not want to hear warnings hears this one.
    await stage.server.run(`ALTER ROLE ${ROLE} SET client_min_messages = 'error'`);
    await using ours = await stage.open();
    const lease = await take(ours, "unreplicated");
    await ours.renew([{ ...lease, ttlMs: undefined }]); // So that this connection is there.
    await stage.server.run(
      `ALTER ROLE ${ROLE} RESET client_min_messages`,
      "ALTER SYSTEM SET synchronous_standby_names = 'nobody'",
      "SELECT pg_reload_conf()",
    );
    try {
      await sleep(300);
      const refused = expect(ours.renew([{ ...lease, ttlMs: undefined }])).rejects.toMatchObject({
        ...UNAVAILABLE,
        message: expect.stringContaining("standby") as string,
      });
      let cancelled = 0;
      for (let n = 0; n < 40 && cancelled === 0; n++) {
        await sleep(50);
        const waiting = await stage.server.run(
          "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
        );
        cancelled = waiting.length;
      }
      expect(cancelled).toBe(1);
      await refused;
    } finally {
      await stage.server.run(
        "ALTER SYSTEM RESET synchronous_standby_names",
        "SELECT pg_reload_conf()",
      );
    }
    await sleep(300);
    const [answer] = await ours.renew([{ ...lease, ttlMs: undefined }]);
    expect(answer?.kind).toBe("renewed");
  });

  it("what was granted survives a crash, whatever the role's synchronous_commit", async () => {
    await stage.server.run(
      `ALTER ROLE ${ROLE} SET synchronous_commit = off`,
      "ALTER SYSTEM SET wal_writer_delay = '10s'",
      "SELECT pg_reload_conf()",
    );
    await using ours = await stage.open();
    await stage.server.run(`ALTER ROLE ${ROLE} RESET synchronous_commit`);
    const before = await take(ours, "crash, there");
    await ours.release([before]);
    const made = await take(ours, "crash, made");
    const again = await take(ours, "crash, there");
    await stage.server.stop("SIGQUIT");
    await stage.server.resume();
    const held = await backend
      .current([made.resource, again.resource])
      .catch(() => backend.current([made.resource, again.resource]));
    expect(held.map((answer) => leaseIn(answer)?.token)).toEqual([made.token, again.token]);
    await stage.server.run("ALTER SYSTEM RESET wal_writer_delay", "SELECT pg_reload_conf()");
  });

  it("a statement that the server gives up on costs its answer, not the connection", async () => {
    await using ours = await stage.open({ timeout: "1s" });
    const lease = await take(ours, "dragging");
    await ours.renew([{ ...lease, ttlMs: undefined }]);
    const connections = (): Promise<unknown> =>
      stage.server.run(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'stormlock' ORDER BY pid",
      );
    const before = await connections();
    await stage.server.run(
      `CREATE FUNCTION drag() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_sleep(5); RETURN NEW; END $$`,
      "CREATE TRIGGER drag BEFORE UPDATE ON stormlock_leases FOR EACH ROW EXECUTE FUNCTION drag()",
    );
    try {
      await expect(ours.renew([{ ...lease, ttlMs: undefined }])).rejects.toThrow(
        /stopped a statement that took too long/u,
      );
    } finally {
      await stage.server.run("DROP FUNCTION drag CASCADE");
    }
    expect((await ours.renew([{ ...lease, ttlMs: undefined }]))[0]?.kind).toBe("renewed");
    expect(await connections()).toEqual(before);
  });

  it("a table that was dropped is made again, by the call after the one that missed it", async () => {
    const settings = { connection: stage.server.url(), table: "dropped_leases" };
    await using ours = await stage.open({ ...settings, create_table: true });
    const lease = await take(ours, "dropped");
    await stage.server.run("DROP TABLE dropped_leases");
    await expect(ours.acquire([ask("dropped")])).rejects.toMatchObject(UNAVAILABLE);
    expect((await take(ours, "dropped")).token).toBeGreaterThan(lease.token);
  });

  it("connections that an administrator ends are made anew", async () => {
    const lease = await take(backend, "terminated");
    await stage.server.run(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stormlock'",
    );
    await sleep(200);
    expect((await backend.renew([{ ...lease, ttlMs: undefined }]))[0]?.kind).toBe("renewed");
    expect(await backend.release([lease])).toEqual([{ kind: "released" }]);
  });

  it("prepared statements that were thrown away cost one call, not the store", async () => {
    await using ours = await stage.open();
    await take(ours, "deallocated");
    await stage.server.run(
      `ALTER TABLE stormlock_leases ADD COLUMN added text`,
      `ALTER TABLE stormlock_leases DROP COLUMN added`,
    );
    const answers = [];
    for (let n = 0; n < 2; n++)
      answers.push(await ours.acquire([ask("deallocated")]).catch(() => []));
    expect(answers.at(-1)?.[0]?.kind).toBe("held");
  });

  it.each([-1, 1])("the wall clock of this process, %i h off, changes nothing", async (hours) => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + hours * 3_600_000 });
    await using ours = await stage.open();
    const name = `clock ${String(hours)}`;
    const lease = await take(ours, name, { ttlMs: 500 });
    const [row] = await stage.server.run(
      `SELECT abs(created_us - extract(epoch FROM clock_timestamp()) * 1000000) < 10000000 AS near
       FROM stormlock_leases WHERE resource = ${keySql(name)}`,
    );
    expect(row).toEqual({ near: true });
    expect((await ours.acquire([ask(name)]))[0]?.kind).toBe("held");
    expect((await ours.renew([{ ...lease, ttlMs: 500 }]))[0]?.kind).toBe("renewed");
    await sleep(600);
    expect((await take(backend, name)).token).toBeGreaterThan(lease.token);
  });
});
