import { mkdtemp, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CliHome } from "../support/cli.js";

let home: CliHome;

beforeEach(async () => {
  home = await CliHome.make();
});
afterEach(() => home[Symbol.asyncDispose]());

// What the bundle says that a part's code comes from.
const MARKS = {
  grpc: "node_modules/@grpc/grpc-js/",
  messages: "node_modules/@bufbuild/protobuf/",
  web: "node_modules/@connectrpc/connect/",
  metrics: "node_modules/prom-client/",
  sqlite: "src/backends/sqlite/backend.ts",
  zod: "node_modules/zod/",
  toml: "node_modules/smol-toml/",
  yargs: "node_modules/yargs/",
} as const;

/** Which parts a command reads, by what Node says that it has loaded. */
async function partsOf(argv: readonly string[]): Promise<string[]> {
  const folder = await mkdtemp(join(home.path, "coverage-"));
  const { code, stderr } = await home.run(argv, { env: { NODE_V8_COVERAGE: folder } });
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const texts: string[] = [];
  for (const name of await readdir(folder)) {
    const report = JSON.parse(await readFile(join(folder, name), "utf8")) as {
      result: { url: string }[];
    };
    for (const { url } of report.result) {
      if (url.includes("/dist/")) texts.push(await readFile(fileURLToPath(url), "utf8"));
    }
  }
  expect(texts.length).toBeGreaterThan(0);
  return Object.entries(MARKS)
    .filter(([, mark]) => texts.some((text) => text.includes(mark)))
    .map(([part]) => part);
}

describe("a command loads only what it uses", () => {
  it("of the parts that the bundle has", async () => {
    const files = (await readdir("dist")).filter((name) => name.endsWith(".cjs"));
    const texts = await Promise.all(files.map((name) => readFile(join("dist", name), "utf8")));
    for (const mark of Object.values(MARKS)) {
      expect(
        texts.filter((text) => text.includes(mark)),
        mark,
      ).not.toEqual([]);
    }
  });

  it("nothing at all for its version, and the layout for its help", async () => {
    expect(await partsOf(["--version"])).toEqual([]);
    expect(await partsOf(["acquire", "--help"])).toEqual(["yargs"]);
  });

  it("nothing at all for a daemon on this machine, unless it is to wait for it", async () => {
    const { address } = await home.daemon();
    const acquire = ["acquire", "x", "--server", address];
    expect(await partsOf(acquire)).toEqual([]);
    const wait = ["acquire", "y", "--wait", "5s", "--server", address];
    expect(await partsOf(wait)).toEqual(["grpc", "messages"]);
  });

  it("the store alone without one", async () => {
    expect(await partsOf(["acquire", "x"])).toEqual(["sqlite"]);
  });

  it("what reads a file where there is one, and what checks it where stores are opened", async () => {
    const { address } = await home.daemon();
    const client = await home.file("client.toml", `[default]\nserver = "${address}"\n`);
    expect(await partsOf(["acquire", "x", "-c", client])).toEqual(["toml"]);
    const store = await home.file(
      "s.toml",
      `[backend.sqlite]\npath = "s.db"\n[default]\nbackend = "sqlite"\n`,
    );
    expect(await partsOf(["acquire", "x", "-c", store])).toEqual(["sqlite", "zod", "toml"]);
  });
});
