// The built program, from a configuration file to a table and back.

import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { CliHome } from "../../support/cli.js";
import { withDynamodb, type Stage } from "./stage.js";

const toml = ({ server }: Stage): string => `
[default]
backend = "table"

[backend.table]
type = "dynamodb"
endpoint = "${server.endpoint}"
region = "eu-west-1"
access_key_id = "stormlock"
secret_access_key = "\${TABLE_SECRET}"
timeout = "10s"
`;

const ini = ({ server }: Stage): string => `
[default]
backend = dynamodb

[backend.dynamodb]
endpoint: ${server.endpoint}
region: eu-west-1
table: stormlock_leases
access_key_id: stormlock
secret_access_key: not-much-of-a-secret
timeout: 10 seconds
`;

const env = { TABLE_SECRET: "not-much-of-a-secret" };

await withDynamodb("dynamodb, on the command line", (stage) => {
  it.each([
    ["TOML", "locks.toml", toml, "alone"],
    ["TOML", "locks.toml", toml, "daemon"],
    ["INI", "locks.cfg", ini, "alone"],
    ["INI", "locks.cfg", ini, "daemon"],
  ] as const)("a lock's story is told from %s (%s, %#)", async (_form, name, text, way) => {
    await using home = await CliHome.make();
    const file = await home.file(name, text(stage));
    const daemon = way === "daemon" ? await home.daemon(["-c", file], { env }) : undefined;
    const where = daemon === undefined ? ["-c", file] : ["--server", daemon.address];
    const say = (...argv: readonly string[]) => home.run([...argv, ...where], { env });
    const resource = `story/${name}/${way}`;

    const taken = await say("acquire", resource, "-t", "8 seconds");
    // Nothing but the id: the SDK has nothing to say to an operator.
    expect(taken).toMatchObject({ code: 0, stderr: "" });
    const id = taken.stdout.trim();
    expect((await say("is-held", resource, id)).code).toBe(0);
    const current = await say("current", resource, "-f", "oneline");
    expect(current.stdout).toMatch(new RegExp(`^\\S+\\t\\S+\\t${id}\\n$`, "u"));
    const refused = await say("acquire", resource);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect((await say("renew", resource, id, "-t", "8s")).code).toBe(0);
    for (let asked = 0; (await say("is-held", resource, id)).code === 0; asked++) {
      expect(asked).toBeLessThan(60);
      await pause(500);
    }
    expect((await say("renew", resource, id)).code).toBe(3);
    const next = (await say("acquire", resource)).stdout.trim();
    expect((await say("is-held", resource, id)).code).toBe(1);
    expect((await say("list", "story/")).stdout).toContain(resource);
    expect((await say("release", resource, next)).code).toBe(0);
    expect((await say("current", resource)).code).toBe(1);
  });

  it("what is wrong with the file or the table is said in one line, without secrets", async () => {
    await using home = await CliHome.make();
    const typo = await home.file("typo.toml", toml(stage).replace("region", "regoin"));
    const complained = await home.run(["acquire", "x", "-c", typo], { env });
    expect(complained.code).toBe(78);
    expect(complained.stderr).toMatch(/typo\.toml:\d+.*regoin.*region/su);
    const other = await home.file("other.toml", `${toml(stage)}table = "not-there"\n`);
    const missing = await home.run(["acquire", "x", "-c", other], { env });
    expect(missing.code).toBe(69);
    expect(missing.stderr).toMatch(/there is no table not-there/u);
    const shown = await home.run(["config", "show", "-c", other], { env });
    for (const { stdout, stderr } of [complained, missing, shown]) {
      expect(stdout + stderr).not.toContain(env.TABLE_SECRET);
    }
  });
});
