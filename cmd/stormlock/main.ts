#!/usr/bin/env node
// The executable.

import type module from "node:module";

// Where Node has a compile cache (from 22 on), every run but the first is a good deal faster. It
// serves what is loaded after it is on, so nothing of ours is loaded before.
if (Number.parseInt(process.versions.node, 10) >= 22) {
  const { enableCompileCache } = process.getBuiltinModule("node:module") as typeof module & {
    enableCompileCache?: () => unknown;
  };
  enableCompileCache?.();
}
void import("./program.js").then(({ runProgram }) => runProgram());
