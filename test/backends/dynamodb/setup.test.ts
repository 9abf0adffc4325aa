// `backend check` and `backend setup` of the built program against DynamoDB Local.

import { CreateTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { UpdateTimeToLiveCommand } from "@aws-sdk/client-dynamodb";
import type {
  CreateTableCommandInput,
  UpdateTimeToLiveCommandInput,
} from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll, expect, it } from "vitest";
import { CliHome } from "../../support/cli.js";
import { withDynamodb } from "./stage.js";

await withDynamodb("dynamodb, set up and checked", (stage) => {
  let home: CliHome;

  beforeAll(async () => {
    home = await CliHome.make();
  });
  afterAll(() => home[Symbol.asyncDispose]());

  const configured = (table: string): Promise<string> => {
    const keys = Object.entries({ ...stage.settings, table });
    const lines = keys.map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
    return home.file(
      "locks.toml",
      ['[default]\nbackend = "aws"\n[backend.aws]\ntype = "dynamodb"', ...lines].join("\n"),
    );
  };

  it("a missing table is named, made once, and then fit", async () => {
    const file = await configured("made_here");
    const early = await home.run(["backend", "check", "-c", file]);
    expect(early).toMatchObject({ code: 69 });
    expect(early.stdout).toMatch(
      /^aws: ok: opened made_here [^\n]+\naws: unusable: [^\n]+made_here[^\n]+\n$/u,
    );
    expect(early.stdout).not.toContain(stage.settings.secret_access_key);
    const setup = () => home.run(["backend", "setup", "-c", file]);
    expect((await setup()).stdout).toMatch(/^aws: ok: made the table made_here /u);
    expect((await setup()).stdout).toMatch(/^aws: ok: there is the table made_here /u);
    const { code, stdout } = await home.run(["backend", "check", "-c", file]);
    expect(code, stdout).toBe(0);
    expect(stdout).toContain("aws: ok: released");
  });

  it("what is printed is what AWS is told", async () => {
    const file = await configured("printed");
    const { stdout } = await home.run(["backend", "setup", "--print", "-c", file]);
    const printed = JSON.parse(stdout) as {
      readonly "create-table": CreateTableCommandInput;
      readonly "update-time-to-live": UpdateTimeToLiveCommandInput;
    };
    const { endpoint = "", access_key_id = "", secret_access_key = "" } = stage.settings;
    const client = new DynamoDBClient({
      ...{ endpoint, region: "eu-west-1" },
      credentials: { accessKeyId: access_key_id, secretAccessKey: secret_access_key },
    });
    await client.send(new CreateTableCommand(printed["create-table"]));
    await client.send(new UpdateTimeToLiveCommand(printed["update-time-to-live"]));
    client.destroy();
    expect((await home.run(["backend", "check", "-c", file])).code).toBe(0);
    const again = await home.run(["backend", "setup", "-c", file]);
    expect(again.stdout).toMatch(/^aws: ok: there is the table printed /u);
  });
});
