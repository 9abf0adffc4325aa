import { resolve } from "node:path";
import { buildCpp, cppActor, missingCpp } from "../cpp/toolchain.js";
import { buildGoActor, goActor, missingGo } from "../go/toolchain.js";
import { javaActor, missingJava, prepareJava } from "../java/toolchain.js";
import { missingPython, preparePython, venvPython } from "../python/toolchain.js";
import { buildRustActor, missingRust, rustActor } from "../rust/toolchain.js";

/** A client library, by the program that shows what it does. */
export interface ClientKind {
  readonly name: string;
  /** Why it cannot be tried on this machine, in one line; in CI that is a failure instead. */
  readonly missing: string | undefined;
  /** Builds what the command needs, once, before the first scenario. */
  readonly prepare?: () => Promise<void>;
  /** What starts its actor. */
  readonly command: readonly string[];
}

const ACTORS = resolve("clients/contract/actors");

export const clients: readonly ClientKind[] = [
  {
    name: "typescript",
    missing: undefined,
    command: [process.execPath, `${ACTORS}/typescript.js`],
  },
  { name: "go", missing: missingGo(), prepare: buildGoActor, command: [goActor] },
  { name: "java", missing: missingJava(), prepare: prepareJava, command: javaActor },
  { name: "cpp", missing: missingCpp(), prepare: buildCpp, command: [cppActor] },
  ...["python", "python_asyncio"].map((actor) => ({
    name: actor.replace("_", "-"),
    missing: missingPython(),
    prepare: preparePython,
    command: [venvPython, `${ACTORS}/${actor}.py`],
  })),
  { name: "rust", missing: missingRust(), prepare: buildRustActor, command: [rustActor] },
];
