#!/usr/bin/env node
// The executable.

import module from "node:module";

// Where Node has a compile cache (22 on), every run but the first is a good deal faster. It
// serves what is loaded after it is on, so nothing of ours is imported before.
(module as { enableCompileCache?: () => unknown }).enableCompileCache?.();
const { runProgram } = await import("./program.js");
await runProgram();
