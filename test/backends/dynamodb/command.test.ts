// The built program and a table. (A lock's whole story: test/stores.)

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

const env = { TABLE_SECRET: "not-much-of-a-secret" };

await withDynamodb("dynamodb, on the command line", (stage) => {
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
