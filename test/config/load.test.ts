import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadConfig, type Config, type LoadOptions } from "../../src/config/index.js";
import { complaintsOf } from "./config.js";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "stormlock-load-"));
  await mkdir(join(folder, ".config/stormlock"), { recursive: true });
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

function load(given: Partial<LoadOptions> = {}): Promise<Config> {
  return loadConfig({
    configFlag: undefined,
    flags: {},
    env: {},
    home: folder,
    cwd: folder,
    uid: process.getuid?.(),
    purpose: "client",
    backendKeys: () => Promise.resolve({ kind: "missing", lookedIn: [] }),
    ...given,
  });
}

test("a file is found, read and settled, its variables from the same environment", async () => {
  const path = join(folder, ".config/stormlock/config.toml");
  await writeFile(path, '[default]\nserver = "${HOST}:1"\nca = "ca.pem"\n');
  const config = await load({ env: { HOST: "h" } });
  expect(config.path).toBe(path);
  expect(config.client).toEqual({
    servers: ["h:1"],
    ca: join(folder, ".config/stormlock/ca.pem"),
  });
});

test("the older tool's file is found where ours is not", async () => {
  await writeFile(join(folder, ".stormlock.cfg"), "[default]\nserver = h\nttl = 1 day\n");
  expect((await load()).policy.fallback.ttlMs).toBe(86_400_000);
});

test("without a file there is the local store, and nothing is written to make it so", async () => {
  const config = await load();
  expect([config.path, config.usesBuiltInStore]).toEqual([undefined, true]);
});

test("complaints name the file by its whole path", async () => {
  await writeFile(join(folder, "c.toml"), "[default]\nttl = 5\n");
  expect(await complaintsOf(load({ configFlag: "c.toml" }))).toEqual([
    `${join(folder, "c.toml")}:2: [default] ttl: found 5; expected a whole number with a unit, such as 500ms, 30s, 5m, 1h30m or 1d`,
  ]);
});

test("a file in the older form under another name is told to be renamed", async () => {
  await writeFile(join(folder, "locks.conf"), "[default]\nttl = 1 days\n");
  const [complaint] = await complaintsOf(load({ configFlag: "locks.conf" }));
  expect(complaint).toContain("a file in the older tool's form must be named .cfg or .ini");
});
