// The built program and a table. (A lock's whole story: test/stores.)

import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { CliHome } from "../../support/cli.js";
import { describeWithPostgresql } from "../../support/servers/postgresql.js";
import { ROLE, ROLE_PASSWORD, Stage } from "./stage.js";

const toml = ({ server }: Stage): string => `
[default]
backend = "db"

[backend.db]
type = "postgresql"
connection = "postgresql://${ROLE}:\${DB_PASSWORD}@127.0.0.1:${String(server.port)}/postgres?sslmode=disable"
create_table = false
`;

const env = { DB_PASSWORD: encodeURIComponent(ROLE_PASSWORD) };

describeWithPostgresql("postgresql, on the command line", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.start();
  });

  afterAll(async () => {
    await stage[Symbol.asyncDispose]();
  });

  it("a waiter is woken by the release, not by its patience", async () => {
    await using home = await CliHome.make();
    const file = await home.file("locks.toml", toml(stage));
    const say = (...argv: readonly string[]) => home.run([...argv, "-c", file], { env });
    const id = (await say("acquire", "woken", "-t", "60s")).stdout.trim();
    const waiting = say("acquire", "woken", "-w", "50s");
    await pause(2000);
    await say("release", "woken", id);
    const releasedMs = performance.now();
    expect((await waiting).code).toBe(0);
    expect(performance.now() - releasedMs).toBeLessThan(5000);
  });

  it("what is wrong with the file or the database is said in one line, without secrets", async () => {
    await using home = await CliHome.make();
    const typo = await home.file("typo.toml", toml(stage).replace("create_table", "creat_table"));
    const complained = await home.run(["acquire", "x", "-c", typo], { env });
    expect(complained.code).toBe(78);
    expect(complained.stderr).toMatch(/typo\.toml:\d+.*creat_table.*create_table/su);
    const bad = await home.file("bad.toml", toml(stage).replace("sslmode", "sslmod"));
    const refused = await home.run(["acquire", "x", "-c", bad], { env });
    expect(refused.code).toBe(78);
    const other = await home.file("other.toml", `${toml(stage)}table = "not_there"\n`);
    const missing = await home.run(["acquire", "x", "-c", other], { env });
    expect(missing.code).toBe(69);
    expect(missing.stderr).toMatch(/has no table not_there/u);
    const shown = await home.run(["config", "show", "-c", other], { env });
    for (const { stdout, stderr } of [complained, refused, missing, shown]) {
      expect(stdout + stderr).not.toContain(ROLE_PASSWORD);
      expect(stdout + stderr).not.toContain(env.DB_PASSWORD);
    }
  });
});
