import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { dynamodbSettings, optionsOf } from "../../../src/backends/dynamodb/settings.js";
import { isSecretKey } from "../../../src/config/secrets.js";
import { withoutItem } from "./http-proxy.js";
import { ask, spoiltClient, withDynamodb } from "./stage.js";

describe("the settings of dynamodb", () => {
  it("nothing has to be said, and everything may be", async () => {
    const schema = await dynamodbSettings();
    expect(schema.safeParse({}).success).toBe(true);
    expect(optionsOf({})).toMatchObject({
      ...{ table: "stormlock_leases", maxClockSkewMs: 1000, timeoutMs: 5000 },
      place: "stormlock_leases (DynamoDB, the default region)",
    });
    const all = {
      ...{ table: "locks", endpoint: "https://user:pass@db.example:8000/x", region: "eu-west-1" },
      ...{ profile: "ci", access_key_id: "AKIA", secret_access_key: "s", session_token: "t" },
      ...{ max_clock_skew: "250ms", timeout: "10 seconds" },
    };
    expect(schema.safeParse(all).success).toBe(true);
    expect(optionsOf(all)).toMatchObject({
      ...{ maxClockSkewMs: 250, timeoutMs: 10_000 },
      place: "locks (DynamoDB, https://db.example:8000)",
    });
  });

  it.each([
    [{ tabel: "locks" }, /unrecognized/iu],
    [{ table: "a" }, /must be a table's name/u],
    [{ table: "locks/x" }, /must be a table's name/u],
    [{ endpoint: "127.0.0.1:8000" }, /must be a URL such as/u],
    [{ timeout: "5" }, /must be a whole number with a unit/u],
    [{ timeout: "1ms" }, /at least 500ms/u],
    [{ max_clock_skew: "0s" }, /at least 100ms/u],
    [{ access_key_id: "AKIA" }, /must be both access_key_id and secret_access_key/u],
    [{ session_token: "t" }, /must be session_token beside/u],
  ])("%j is refused in words", async (settings, words) => {
    const { error } = (await dynamodbSettings()).safeParse(settings);
    expect(error?.issues.map(({ message }) => message).join("\n")).toMatch(words);
  });

  it("what is secret is masked wherever settings are shown", () => {
    expect(isSecretKey("secret_access_key")).toBe(true);
    expect(isSecretKey("session_token")).toBe(true);
  });
});

await withDynamodb("dynamodb, and the rights that it needs", (stage) => {
  it("the documented policy allows just what is asked of the table", async () => {
    const page = readFileSync("docs/backends/dynamodb.md", "utf8");
    const allowed = new Set(
      [...page.matchAll(/"dynamodb:([A-Za-z]+)"/gu)].map(([, action]) => action),
    );
    await using spoilt = await spoiltClient(stage);
    const { backend, proxy } = spoilt;
    // With refusals that show no item, so that all ways are gone.
    proxy.fate = () => ({ change: withoutItem });
    const mine = ask("rights");
    await backend.check();
    for (const asked of [mine, mine, ask("rights")]) await backend.acquire([asked]);
    await backend.renew([{ ...mine, ttlMs: undefined }]);
    await backend.current([mine.resource]);
    await backend.list({ prefix: "", after: undefined, limit: 10 });
    await backend.release([mine]);
    await backend.acquire([mine]);
    expect(new Set(proxy.seen.map(({ operation }) => operation))).toEqual(allowed);
  });
});
