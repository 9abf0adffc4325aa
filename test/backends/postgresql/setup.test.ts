// `backend check` and `backend setup` of the built program against a server.

import { afterAll, beforeAll, expect, it } from "vitest";
import { CliHome } from "../../support/cli.js";
import { describeWithPostgresql } from "../../support/servers/postgresql.js";
import { ROLE, ROLE_PASSWORD, Stage } from "./stage.js";

describeWithPostgresql("postgresql, set up and checked", () => {
  let stage: Stage;
  let home: CliHome;

  beforeAll(async () => {
    stage = await Stage.start();
    home = await CliHome.make();
  });

  afterAll(async () => {
    await home[Symbol.asyncDispose]();
    await stage[Symbol.asyncDispose]();
  });

  const configured = (connection: string, more: string): Promise<string> =>
    home.file(
      "locks.toml",
      `[default]\nbackend = "db"\n[backend.db]\ntype = "postgresql"\nconnection = "${connection}"\n${more}\n`,
    );

  it("a role with the least rights is told what is missing, and then finds all right", async () => {
    const more = 'table = "later"\ncreate_table = false';
    const file = await configured(stage.roleUrl(), more);
    const check = () => home.run(["backend", "check", "-c", file]);
    const early = await check();
    expect(early.code).toBe(69);
    expect(early.stdout).toMatch(/^db: unusable: the database \S+ has no table later: [^\n]+\n$/u);
    expect(early.stdout).not.toContain(ROLE_PASSWORD);

    // Whoever owns the schema makes it, whatever the daemon may.
    const owners = await configured(stage.server.url(), more);
    const setup = () => home.run(["backend", "setup", "-c", owners]);
    expect((await setup()).stdout).toMatch(/^db: ok: made the table later in \S+\n$/u);
    expect((await setup()).stdout).toMatch(/^db: ok: there is the table later in \S+\n$/u);
    await configured(stage.roleUrl(), more);
    const refused = await check();
    expect(refused).toMatchObject({ code: 69 });
    expect(refused.stdout).toContain(`GRANT SELECT, INSERT, UPDATE, DELETE ON later TO ${ROLE}`);

    await stage.server.run(`GRANT SELECT, INSERT, UPDATE, DELETE ON later TO ${ROLE}`);
    const { code, stdout } = await check();
    expect(code, stdout).toBe(0);
    // A line for each step, and the warning that this server runs without fsync.
    expect(stdout.trimEnd().split("\n")).toHaveLength(8);
    expect(stdout).toMatch(/warning.*fsync/u);
    expect((await home.run(["list", "-c", file])).stdout).toBe("");
  });

  it("what is printed is SQL that makes the table", async () => {
    const file = await configured(stage.roleUrl(), 'table = "printed"\ncreate_table = false');
    const { stdout } = await home.run(["backend", "setup", "--print", "-c", file]);
    await stage.server.run(stdout, `GRANT SELECT, INSERT, UPDATE, DELETE ON printed TO ${ROLE}`);
    expect((await home.run(["backend", "check", "-c", file])).code).toBe(0);
  });

  it("a table of somebody else's is left alone, and named", async () => {
    await stage.server.run("CREATE TABLE theirs (name text)");
    const file = await configured(stage.server.url(), 'table = "theirs"');
    for (const action of ["setup", "check"]) {
      const { code, stdout } = await home.run(["backend", action, "-c", file]);
      expect(code).toBe(69);
      expect(stdout).toMatch(/^db: unusable: the table theirs of \S+ is not one of Stormlock's/u);
    }
  });
});
