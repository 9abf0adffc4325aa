// One daemon over stores of several types, chosen by the resource.

import { describe, expect, it } from "vitest";
import { CliHome } from "../support/cli.js";
import { stores, type Store } from "../support/stores.js";

const TYPES = ["sqlite", "redis", "postgresql"];
const kinds = TYPES.flatMap((type) => stores.filter((kind) => kind.type === type));
const missing = kinds.find((kind) => kind.missing !== undefined)?.missing;
const title = missing === undefined ? "" : ` (skipped: ${missing})`;

/** What a store's own configuration says of it, under another name. */
function section({ toml }: Store, name: string): string {
  return toml.slice(toml.indexOf("[backend.main]")).replace("[backend.main]", `[backend.${name}]`);
}

describe.skipIf(missing !== undefined)(`one daemon over three stores${title}`, () => {
  it("keeps each resource in its own, lists all in order, and loses no store with another", async () => {
    await using home = await CliHome.make();
    const [sqlite, redis, postgresql] = await Promise.all(kinds.map((kind) => kind.start()));
    if (!sqlite || !redis || !postgresql) throw new Error("all three should run");
    await using _sqlite = sqlite;
    await using _redis = redis;
    await using _postgresql = postgresql;
    const { env } = postgresql;
    const file = await home.file(
      "several.toml",
      [
        '[default]\nbackend = "files"\n["r/*"]\nbackend = "memory"\n["p/*"]\nbackend = "tables"\n',
        ...[section(sqlite, "files"), section(redis, "memory"), section(postgresql, "tables")],
      ].join("\n"),
    );
    const { address } = await home.daemon(["-c", file], { env });
    const say = (...argv: readonly string[]) => home.run([...argv, "--server", address]);
    const listed = async (...argv: readonly string[]): Promise<(string | undefined)[]> => {
      const { stdout } = await home.run(["list", ...argv], { env });
      return stdout.split("\n").flatMap((line) => (line === "" ? [] : [line.split("\t")[0]]));
    };

    const ids = new Map<string, string>();
    for (const name of ["a", "p/1", "r/1", "z"]) {
      const { code, stdout, stderr } = await say("acquire", name, "-t", "1h");
      expect({ name, code, stderr }).toEqual({ name, code: 0, stderr: "" });
      ids.set(name, stdout.trim());
    }
    const withId = async (command: string, name: string): Promise<number> =>
      (await say(command, name, ids.get(name) ?? "")).code;
    expect(await listed("--server", address)).toEqual(["a", "p/1", "r/1", "z"]);
    // Past the daemon, each store has its own and no other.
    for (const [store, own] of [
      [sqlite, ["a", "z"]],
      [redis, ["r/1"]],
      [postgresql, ["p/1"]],
    ] as const) {
      expect(await listed("-c", await home.file("alone.toml", store.toml))).toEqual(own);
    }

    await redis.end();
    expect(await withId("renew", "p/1")).toBe(0);
    expect(await withId("release", "a")).toBe(0);
    expect((await say("acquire", "r/2", "-w", "0s")).code).toBe(69);
    await redis.again();
    for (const name of ["p/1", "r/1", "z"]) expect(await withId("release", name)).toBe(0);
    expect(await listed("--server", address)).toEqual([]);
  });
});
