// What is looked at when a store is opened, and what is said of it.

import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { PostgresqlSettings } from "../../../src/backends/postgresql/settings.js";
import { tableSql } from "../../../src/backends/postgresql/statements.js";
import type { LockError } from "../../../src/lock/errors.js";
import { leaseIn } from "../../../src/lock/unreadable.js";
import { freePort } from "../../support/free-port.js";
import {
  describeWithPostgresql,
  PASSWORD,
  PostgresqlServer,
} from "../../support/servers/postgresql.js";
import { ask, holder, ROLE, ROLE_PASSWORD, Stage, take } from "./stage.js";

describeWithPostgresql("postgresql, opened", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.start();
    await stage.server.run(
      "CREATE SCHEMA app",
      "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0",
    );
  });

  afterAll(async () => {
    await stage[Symbol.asyncDispose]();
  });

  /** The one line about why it cannot be opened. */
  async function refusal(settings: Partial<PostgresqlSettings>): Promise<string> {
    let error: LockError;
    try {
      const backend = await stage.open(settings);
      await backend[Symbol.asyncDispose]();
      throw new Error("it could be opened");
    } catch (thrown) {
      error = thrown as LockError;
    }
    expect(error.message).not.toContain("\n");
    expect(error.message).not.toContain(PASSWORD);
    expect(error.message).not.toContain(ROLE_PASSWORD);
    expect(error).toMatchObject({ name: "LockError", kind: "unavailable" });
    return error.message;
  }

  it("a server that is not there is named, with what to do", async () => {
    const port = await freePort();
    const message = await refusal({ connection: stage.roleUrl(port) });
    expect(message).toContain(`127.0.0.1:${String(port)}/postgres cannot be reached`);
    expect(message).toContain("ECONNREFUSED");
    expect(await refusal({ connection: "postgresql://nobody.invalid/x" })).toContain(
      "nobody.invalid:5432/x cannot be reached",
    );
  });

  it("wrong passwords, users and databases are told apart", async () => {
    const wrong = stage.server.url({ user: ROLE, password: "wrong" });
    expect(await refusal({ connection: wrong })).toMatch(/refuses locks_role .*password/u);
    const nowhere = stage.server.url({ database: "nowhere" });
    expect(await refusal({ connection: nowhere })).toMatch(/nowhere does not exist/u);
    const without = `postgresql://${ROLE}@127.0.0.1:${String(stage.server.port)}/postgres`;
    expect(await refusal({ connection: without })).toMatch(/wants another password of locks_role/u);
  });

  it("rights that are missing are named, with the statement that gives them", async () => {
    await stage.server.run(`REVOKE DELETE, UPDATE ON stormlock_leases FROM ${ROLE}`);
    const message = await refusal({});
    await stage.server.run(`GRANT DELETE, UPDATE ON stormlock_leases TO ${ROLE}`);
    expect(message).toMatch(/no right to UPDATE, DELETE .*GRANT SELECT, INSERT, UPDATE, DELETE/u);
    expect(await refusal({ table: "app.locks", create_table: true })).toMatch(
      /permission denied for schema app/u,
    );
    expect(await refusal({ table: "nowhere.locks" })).toMatch(/has no table nowhere\.locks/u);
    expect(await refusal({ table: "nowhere.locks", create_table: true })).toMatch(/no schema/u);
  });

  it("a missing table is made, or not if it was said so", async () => {
    const connection = stage.server.url();
    expect(await refusal({ connection, table: "app.told_not_to" })).toMatch(
      /has no table app\.told_not_to: create it, or set `create_table = true`/u,
    );
    const [{ there } = {}] = await stage.server.run(
      "SELECT to_regclass('app.told_not_to') AS there",
    );
    expect(there).toBeNull();
    await using backend = await stage.open({ connection, table: "app.made", create_table: true });
    const lease = await take(backend, "a");
    await using again = await stage.open({ connection, table: "app.made" });
    expect((await holder(again, "a"))?.token).toBe(lease.token);
    // Another table is another store.
    await using elsewhere = await stage.open({ connection });
    expect(await holder(elsewhere, "a")).toBeUndefined();
  });

  it("a table's name means itself: no case is folded and none ends the statement", async () => {
    const connection = stage.server.url();
    for (const table of ["Mixed_Case", "select", "app.User"]) {
      await using backend = await stage.open({ connection, table, create_table: true });
      expect((await take(backend, "a")).token).toBeGreaterThan(0n);
    }
    const tables = await stage.server.run(
      `SELECT relname FROM pg_class WHERE relkind = 'r' AND relname IN ('Mixed_Case', 'select', 'User')`,
    );
    expect(tables).toHaveLength(3);
    await expect(
      stage.open({ connection, table: 'x"; DROP TABLE stormlock_leases; --' }),
    ).rejects.toThrow(/no table's name/u);
    expect(
      await stage.server.run("SELECT to_regclass('stormlock_leases') IS NULL AS gone"),
    ).toEqual([{ gone: false }]);
  });

  it("many that make the table at once all find it", async () => {
    const connection = stage.server.url();
    for (const table of ["at_once_1", "at_once_2", "at_once_3"]) {
      const opened = await Promise.all(
        Array.from({ length: 12 }, () => stage.open({ connection, table, create_table: true })),
      );
      const answers = await Promise.all(opened.map((backend) => backend.acquire([ask("one")])));
      expect(answers.flat().filter(({ kind }) => kind === "granted")).toHaveLength(1);
      expect(answers.flat().filter(({ kind }) => kind === "held")).toHaveLength(11);
      for (const backend of opened) await backend[Symbol.asyncDispose]();
    }
  });

  it("who makes the table while another is making it waits, and takes that one", async () => {
    await using other = await stage.server.connect();
    await other.query("BEGIN");
    await other.query(tableSql("made_meanwhile"));
    const settings = { connection: stage.server.url(), table: "made_meanwhile" };
    const opening = stage.open({ ...settings, create_table: true });
    await sleep(400);
    await other.query("COMMIT");
    await using backend = await opening;
    await backend.check();
  });

  it("a table that is not ours is refused by name and left as it is", async () => {
    const connection = stage.server.url();
    await stage.server.run(
      // As the older tool has it.
      `CREATE TABLE stormlock (resource text PRIMARY KEY, principal text, lease_id text, created timestamp, expires timestamp)`,
      `INSERT INTO stormlock VALUES ('a', 'ann', 'x', now(), now())`,
      `CREATE TABLE app.wide (LIKE stormlock_leases INCLUDING ALL, needed int NOT NULL)`,
      `CREATE TABLE app.wider (LIKE stormlock_leases INCLUDING ALL, extra int DEFAULT 7)`,
      `CREATE TABLE app.keyless (LIKE stormlock_leases)`,
      `CREATE UNLOGGED TABLE app.unlogged (LIKE stormlock_leases INCLUDING ALL)`,
      `CREATE VIEW app.view AS SELECT * FROM stormlock_leases`,
      `CREATE TABLE app.hidden (LIKE stormlock_leases INCLUDING ALL)`,
      `ALTER TABLE app.hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY`,
      `GRANT ALL ON app.hidden TO ${ROLE}`,
      `GRANT USAGE ON SCHEMA app TO ${ROLE}`,
    );
    const settings = { connection, create_table: true };
    expect(await refusal({ ...settings, table: "stormlock" })).toMatch(
      /the table stormlock of .* is not one of Stormlock's \(its column resource is text, not bytea\)/u,
    );
    expect(await refusal({ ...settings, table: "app.wide" })).toMatch(
      /column needed wants values/u,
    );
    expect(await refusal({ ...settings, table: "app.keyless" })).toMatch(/not unique/u);
    expect(await refusal({ ...settings, table: "app.unlogged" })).toMatch(/unlogged/u);
    expect(await refusal({ ...settings, table: "app.view" })).toMatch(/a view/u);
    expect(await refusal({ table: "app.hidden" })).toMatch(/row level security/u);
    expect(await stage.server.run("SELECT principal FROM stormlock")).toEqual([
      { principal: "ann" },
    ]);
    await using backend = await stage.open({ ...settings, table: "app.wider" });
    await take(backend, "a");
  });

  it("a database that cannot hold every name is refused", async () => {
    const connection = stage.server.url({ database: "latin" });
    expect(await refusal({ connection, create_table: true })).toMatch(/encoded in LATIN1/u);
  });

  it("a read replica and a read-only role are refused", async () => {
    await using replica = await PostgresqlServer.start({
      files: { "standby.signal": "" },
      config: { max_connections: "100" }, // No fewer than when its data were made.
    });
    expect(await refusal({ connection: replica.url() })).toMatch(/read replica/u);
    await stage.server.run(`ALTER ROLE ${ROLE} SET default_transaction_read_only = on`);
    const message = await refusal({});
    await stage.server.run(`ALTER ROLE ${ROLE} RESET default_transaction_read_only`);
    expect(message).toMatch(/takes no writes/u);
  });

  it("what role and database have as their defaults changes nothing", async () => {
    const settings = {
      ...{ bytea_output: "escape", client_min_messages: "error", synchronous_commit: "off" },
      ...{
        default_transaction_isolation: "serializable",
        enable_indexscan: "on",
        lock_timeout: "1",
      },
      ...{ TimeZone: "Asia/Kathmandu", DateStyle: "SQL, DMY", IntervalStyle: "sql_standard" },
      ...{ standard_conforming_strings: "off", statement_timeout: "200", extra_float_digits: "-5" },
    };
    for (const [name, value] of Object.entries(settings)) {
      await stage.server.run(`ALTER ROLE ${ROLE} SET "${name}" = '${value}'`);
    }
    await using backend = await stage.open();
    const names = Array.from({ length: 1000 }, (_, n) => `defaults/${String(n)}/é`);
    const answers = await backend.acquire(names.map((name) => ask(name)));
    expect(answers.filter(({ kind }) => kind === "granted")).toHaveLength(1000);
    const listed = await backend.list({ prefix: "defaults/", after: undefined, limit: 2000 });
    expect(listed.map(({ resource }) => resource).sort()).toEqual(names.sort());
    expect(leaseIn(listed[0])?.remainingMs).toBeGreaterThan(50_000);
    const [{ value } = {}] = await stage.server.run(
      `SELECT current_setting('synchronous_commit') AS value`,
    );
    expect(value).toBe("on");
    await stage.server.run(`ALTER ROLE ${ROLE} RESET ALL`);
  });

  it("check tells of a table that was taken away and of one that is back", async () => {
    const connection = stage.server.url();
    await using backend = await stage.open({
      connection,
      table: "app.checked",
      create_table: true,
    });
    await backend.check();
    await stage.server.run("ALTER TABLE app.checked RENAME TO checked_away");
    await using strict = await stage.open({ connection, table: "app.checked_away" });
    await strict.check();
    await stage.server.run("ALTER TABLE app.checked_away RENAME TO checked");
    await backend.check().catch(() => undefined);
    await backend.check();
    await expect(strict.check().catch(() => strict.check())).rejects.toThrow(
      /has no table app\.checked_away/u,
    );
  });

  it("the documented table and query are the real ones", async () => {
    const page = await readFile("docs/backends/postgresql.md", "utf8");
    expect(page).toContain(tableSql("stormlock_leases"));
    const query = /^SELECT convert_from[^;]*;/mu.exec(page)?.[0] ?? "";
    await using backend = await stage.open();
    await take(backend, "for people é", { principal: "zoë" });
    expect(await stage.server.run(query)).toContainEqual({
      ...{ convert_from: "for people é", principal: "zoë" },
      expires: expect.any(Date) as Date,
    });
  });

  it("a server that does not wait for its disk is warned of, with the class that it then has", async () => {
    await using careless = await stage.open(); // The tests' servers are.
    await careless.check();
    expect(careless.warnings).toEqual([
      expect.stringMatching(/runs with fsync off, so the guarantee is best effort \+ fencing/u),
    ]);
    await using server = await Stage.start({ config: { fsync: "on" } });
    await using careful = await server.open();
    await careful.check();
    expect(careful.warnings).toEqual([]);
  });
});
