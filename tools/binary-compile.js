// Runs some commands of the single file's program, and writes down what V8 has compiled for them:
//   node tools/binary-compile.js FOLDER
// makes a PART.cache for each PART.js there. With the Node that goes into the file: what another one
// compiles is of no use to it.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Script } from "node:vm";

const [folder = ""] = process.argv.slice(2);
const parts = readdirSync(folder).filter((name) => name.endsWith(".js"));
const scripts = new Map(
  parts.map((name) => [
    name,
    new Script(readFileSync(join(folder, name), "latin1"), { filename: `stormlock/${name}` }),
  ]),
);
const modules = new Map();

function load(name) {
  if (!name.startsWith("./")) return process.getBuiltinModule(name);
  const loaded = modules.get(name);
  if (loaded !== undefined) return loaded.exports;
  const module = { exports: {} };
  modules.set(name, module);
  scripts.get(name.slice("./".length)).runInThisContext()(module.exports, load, module);
  return module.exports;
}

const { run } = load("./program.js");
const home = mkdtempSync(join(tmpdir(), "stormlock-compile-"));
const nowhere = ["--server", "127.0.0.1:1"];
const typed = [
  ["--version"],
  ["acquire", "x", "--reason", "y", "--wait", "1s"],
  ["acquire", "x"],
  ["is-held", "x", "00"],
  ["current", "x"],
  ["list"],
  ["hold", "y", "-n", "--", "true"],
  ["health", ...nowhere],
];
const { signal: never } = new globalThis.AbortController();
for (const argv of typed) {
  const env = { HOME: home, STORMLOCK_PRINCIPAL: "compile@build" };
  const scene = { argv, env, isTerminal: () => false, untilStopped: () => never };
  await run({ ...scene, width: () => 80 });
}
for (const [name, script] of scripts)
  writeFileSync(join(folder, name.replace(/js$/, "cache")), script.createCachedData());
rmSync(home, { recursive: true, force: true });
process.exit(0);
