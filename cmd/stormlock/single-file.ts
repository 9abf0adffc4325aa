// How the single file begins (docs/single-file.md). The parts that it is made of lie within it, and
// each process loads those that it needs: a guardian must be ready within a blink, and stay small.

import { getRawAsset } from "node:sea";
import { Script } from "node:vm";
import { GUARDIAN } from "./hold/guardian-program.embedded.js";
import type * as program from "./single-file-program.js";

type Require = (name: string) => unknown;
type Part = (exports: object, require: Require, module: { exports: object }) => void;

const loaded = new Map<string, { exports: object }>();

// Parts, and Node's own modules: what lies beside the file by chance is nobody's business.
const require: Require = (name) => {
  if (name.startsWith("./")) return load(name.slice("./".length, -".js".length));
  const builtIn: unknown = process.getBuiltinModule(name);
  if (builtIn !== undefined) return builtIn;
  const absent = new Error(`the single file has no module ${name}`);
  throw Object.assign(absent, { code: "MODULE_NOT_FOUND" });
};

function load(name: string): object {
  const known = loaded.get(name);
  if (known !== undefined) return known.exports;
  const module = { exports: {} };
  loaded.set(name, module);
  const source = bytesOf(`${name}.js`).toString("latin1");
  // What V8 has compiled of it lies beside it, so that this need not be done again.
  const cachedData = bytesOf(`${name}.cache`);
  const script = new Script(source, { filename: `stormlock/${name}.js`, cachedData });
  if (script.cachedDataRejected === true && (process.env["STORMLOCK_DEBUG"] ?? "") !== "")
    process.emitWarning(`what was compiled of ${name} is of no use here: it is compiled again`);
  (script.runInThisContext() as Part)(module.exports, require, module);
  return module.exports;
}

// Where it lies: nothing is copied.
function bytesOf(name: string): Buffer {
  return Buffer.from(getRawAsset(name) as ArrayBuffer);
}

if (process.argv[2] === GUARDIAN) {
  process.argv.splice(2, 1);
  load("guardian");
} else {
  void (load("program") as typeof program).runProgram();
}
