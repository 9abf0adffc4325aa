import { existsSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadDriver } from "../../src/backends/sqlite/driver.js";
import { connect } from "../../src/connect.js";
import { CliHome, PROGRAM } from "../support/cli.js";

let home: CliHome;

beforeEach(async () => {
  home = await CliHome.make();
});
afterEach(() => home[Symbol.asyncDispose]());

const RUN = `${process.execPath} ${PROGRAM}`;

describe("the result", () => {
  it("is alone on stdout: a new local store is told of on stderr, once", async () => {
    const first = await home.run(["acquire", "x"]);
    expect(first.stdout).toMatch(/^[0-9a-f]{32}\n$/u);
    expect(first.stderr).toBe(
      `using the local store ${home.path}/state/stormlock/locks.db: locks are shared by this user on this host only\n`,
    );
    expect((await home.run(["acquire", "y"])).stderr).toBe("");
  });

  it("comes without that note when asked to be quiet, and with it as JSON", async () => {
    expect((await home.run(["acquire", "x", "-q"])).stderr).toBe("");
    const json = await home.run(["acquire", "x", "--json"], {
      env: { XDG_STATE_HOME: `${home.path}/other` },
    });
    expect(JSON.parse(json.stderr)).toEqual({
      note: expect.stringContaining("using the local store") as string,
    });
  });

  it("opens the store of the resource alone", async () => {
    const path = await home.file(
      "two.toml",
      `[default]\nbackend = "a"\n["b/*"]\nbackend = "b"\n` +
        `[backend.a]\ntype = "sqlite"\npath = "a.db"\n[backend.b]\ntype = "sqlite"\npath = "b.db"\n`,
    );
    await home.run(["acquire", "b/1", "-c", path]);
    expect(existsSync(`${home.path}/b.db`)).toBe(true);
    expect(existsSync(`${home.path}/a.db`)).toBe(false);
    await home.run(["acquire", "a/1", "-c", path]);
    const { stdout } = await home.run(["list", "-c", path]);
    expect(stdout.split("\n").map((line) => line.split("\t")[0])).toEqual(["a/1", "b/1", ""]);
  });

  it("has all that can be listed: what cannot is told on stderr, by name", async () => {
    for (const name of ["a", "b", "c"]) await home.run(["acquire", name]);
    const { DatabaseSync } = await loadDriver();
    const store = new DatabaseSync(`${home.path}/state/stormlock/locks.db`);
    store.exec("UPDATE leases SET labels = 'of another program' WHERE resource = x'62'");
    store.close();
    const list = await home.run(["list"]);
    expect(list.stdout).toMatch(/^a\t.*\nc\t.*\n$/u);
    expect(list.stderr).toMatch(
      /^not listed, "b": what the store has for "b" was not written by Stormlock \(.*\): remove it, .*\n$/u,
    );
    expect(list.code).toBe(0);
    const json = await home.run(["list", "--json"]);
    expect(JSON.parse(json.stdout)).toHaveLength(2);
    expect(JSON.parse(json.stderr)).toMatchObject({
      note: expect.stringContaining('"b"') as string,
    });
  });

  it("that nobody reads gives the lock back, and ends as SIGPIPE would", async () => {
    const { code, stderr } = await home.bash(
      `{ sleep 0.2; ${RUN} acquire x; } | true; exit \${PIPESTATUS[0]}`,
    );
    expect(code).toBe(141);
    expect(stderr).toContain("x has been released");
    expect((await home.run(["current", "x"])).code).toBe(1);
    await home.run(["acquire", "x"]);
    const list = await home.bash(`{ sleep 0.2; ${RUN} list; } | true; exit \${PIPESTATUS[0]}`);
    expect(list).toMatchObject({ code: 141, stderr: "" });
  });

  it("that cannot be written gives the lock back, exit code 70", async () => {
    const { code, stderr } = await home.bash(`${RUN} acquire x -q > /dev/full`);
    expect(code).toBe(70);
    expect(stderr).toBe("stormlock: stdout cannot be written (ENOSPC); x has been released\n");
    expect((await home.run(["current", "x"])).code).toBe(1);
  });

  it("is whole when it is long and its reader is slow", async () => {
    const many = Array.from({ length: 400 }, (_, at) => `long/${"n".repeat(150)}/${String(at)}`);
    const { address } = await home.daemon();
    await using locks = connect({ servers: [address] });
    const reason = "r".repeat(250);
    await Promise.all(many.map((name) => locks.acquire(name, { ttlMs: 60_000, reason })));
    const line = `${RUN} list --json --server ${address} | { sleep 0.5; cat; }`;
    const { stdout } = await home.bash(line);
    expect(JSON.parse(stdout)).toHaveLength(many.length);
  });
});

describe("debugging", () => {
  it("shows where a mistake comes from only when asked", async () => {
    const argv = ["current", "x", "-c", "missing.toml"];
    const plain = await home.run(argv);
    expect(plain.stderr).not.toMatch(/^ *(?:stormlock: +)?at /mu);
    const debug = await home.run(argv, { env: { STORMLOCK_DEBUG: "1" } });
    expect(debug.code).toBe(plain.code);
    expect(debug.stderr).toMatch(/ at .*\.cjs:[0-9]+/u);
  });
});

describe("the version", () => {
  it("is printed, as JSON too", async () => {
    const { stdout, code } = await home.run(["--version"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^stormlock [0-9]+\.[0-9]+\.[0-9]+\n$/u);
    const json = await home.run(["--version", "--json"]);
    expect(stdout).toBe(`stormlock ${(JSON.parse(json.stdout) as { version: string }).version}\n`);
  });
});
