// Finding and loading somebody else's module, on real files.

import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { loadPlugIn } from "../../../src/backends/plug-in/load.js";
import { backendType, findBackendType } from "../../../src/backends/registry.js";

let root: string;
let folder: string;
let count = 0;

beforeAll(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "stormlock-plug-in-")));
});
beforeEach(async () => {
  count += 1;
  folder = join(root, String(count), "etc");
  await mkdir(folder, { recursive: true });
});
afterAll(() => rm(root, { recursive: true, force: true }));

const GOOD = 'export const backend = { open() { throw new Error("not today"); } };';

async function put(path: string, text: string): Promise<string> {
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  return file;
}

async function putPackage(at: string, manifest: object, files: Record<string, string>) {
  await put(join(at, "package.json"), JSON.stringify({ type: "module", ...manifest }));
  for (const [name, text] of Object.entries(files)) await put(join(at, name), text);
}

async function why(type: string): Promise<string> {
  const loaded = await loadPlugIn(type, folder);
  return loaded.kind === "unusable" ? loaded.why : loaded.kind;
}

it.each([
  ["exports for `import` alone", { exports: { import: "./a.js" } }, "a.js"],
  ["exports by subpath", { exports: { ".": { require: "./no.cjs", default: "./a.js" } } }, "a.js"],
  ["exports as a text", { exports: "./lib/a.js" }, "lib/a.js"],
  ["a main", { main: "lib/main.js" }, "lib/main.js"],
  ["nothing but an index", {}, "index.js"],
])("a package with %s is found", async (_what, manifest, file) => {
  await putPackage("node_modules/@some/store", manifest, { [file]: GOOD });
  expect(await why("@some/store")).toBe("loaded");
});

it("a package is looked for above the configuration's folder, too, and by a link", async () => {
  await putPackage("elsewhere/store", { exports: "./a.js" }, { "a.js": GOOD });
  await mkdir(join(folder, "node_modules"));
  await symlink(join(folder, "elsewhere/store"), join(folder, "node_modules/linked-store"));
  const inner = join(folder, "conf.d/more");
  expect(await loadPlugIn("linked-store", inner)).toMatchObject({ kind: "loaded" });
});

it("the folder of the configuration goes before Stormlock's own", async () => {
  // zod is beside Stormlock, and is no plug-in.
  expect(await why("zod")).toContain("/node_modules/zod/");
  await putPackage("node_modules/zod", { exports: "./mine.js" }, { "mine.js": GOOD });
  const other = join(folder, "conf.d");
  expect(await loadPlugIn("zod", other)).toMatchObject({ kind: "loaded" });
});

it("what is not there is missing, and where it could have been is said", async () => {
  const found = await findBackendType("no-such-store", folder);
  expect(found).toMatchObject({ kind: "missing" });
  const { lookedIn } = found as { lookedIn: readonly string[] };
  expect(lookedIn[0]).toBe(join(folder, "node_modules"));
  expect(lookedIn).toHaveLength(2);
});

it.each(["./store.js", "../store", "store/../other", "fs", "node:fs", "", "Store", "a b"])(
  "%j is no name of a package",
  async (name) => {
    await put("store.js", GOOD);
    await put("node_modules/store.js", GOOD);
    expect(await findBackendType(name, folder)).toEqual({ kind: "missing", lookedIn: [] });
  },
);

it("without a folder no code is loaded, be it there or not", async () => {
  const file = await put("store.js", GOOD);
  expect(await findBackendType(file)).toEqual({ kind: "missing", lookedIn: [] });
  await expect(backendType(file)).rejects.toThrow(/cannot be used; known: dynamodb, etcd/u);
});

it.each([
  ["is not there", undefined, /the file \S+store\.js is not there$/u],
  ["throws while loading", 'throw new Error("boom\\nmore");', /cannot be loaded: boom$/u],
  ["lacks a module", 'import "no-such-thing";', /cannot be loaded: Cannot find package/u],
  ["is no JavaScript", "export const = 1;", /cannot be loaded: /u],
  [
    "exports something else",
    "export default 1; export const other = 2;",
    /\(it has default, other\)$/u,
  ],
  ["exports nothing", "", /no export called backend \(it has none\)$/u],
  ["exports a number", "export const backend = 1;", /a backend that is no object$/u],
  ["cannot open", "export const backend = { settings() {} };", /without a function open$/u],
  [
    "has settings of another kind",
    "export const backend = { open() {}, settings: {} };",
    /settings are no function$/u,
  ],
  [
    "has a setup of another kind",
    "export const backend = { open() {}, setup: 1 };",
    /setup is no function$/u,
  ],
  [
    "has no schema",
    "export const backend = { open() {}, settings: () => ({}) };",
    /give no zod object/u,
  ],
  [
    "fails to give its schema",
    "export const backend = { open() {}, settings() { throw new Error('ouch'); } };",
    /backend\.settings throws: ouch$/u,
  ],
])("a module that %s says so", async (_what, text, words) => {
  const file = text === undefined ? join(folder, "store.js") : await put("store.js", text);
  const said = await why(file);
  expect(said).toMatch(words);
  expect(said).toContain(file);
  expect(said).not.toContain("\n");
});

it("a folder is no module's file", async () => {
  expect(await why(folder)).toBe(`the file ${folder} is a folder: name the module's file`);
});

it("a package that exports nothing for `import` says so", async () => {
  await putPackage("node_modules/old", { exports: { require: "./a.cjs" } }, { "a.cjs": "" });
  expect(await why("old")).toContain("old/package.json exports nothing that can be imported");
});

it("a plug-in's schema is its own, or takes anything", async () => {
  const strict = await put(
    "strict.js",
    "export const backend = { open() {}, settings: ({ z }) => z.strictObject({ size: z.int() }) };",
  );
  const schemaOf = async (file: string) => {
    const found = await findBackendType(file, folder);
    if (found.kind !== "known") throw new Error(found.kind);
    return await found.type.settings();
  };
  expect((await schemaOf(strict)).safeParse({ size: "x" }).success).toBe(false);
  expect((await schemaOf(strict)).safeParse({ size: 1 }).success).toBe(true);
  expect((await schemaOf(await put("any.js", GOOD))).parse({ size: "x" })).toEqual({ size: "x" });
});
