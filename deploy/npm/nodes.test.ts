// The embedded store's own tests on the Nodes whose own SQLite it uses, and on one whose own it must
// not. The suite runs on a single Node, which may be none of them.

import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { missingBinary } from "../support/binary.js";
import { nodeOf } from "../support/nodes.js";

const run = promisify(execFile);
const COLD_MS = 600_000;

const fileOf = (name: string): string => `test/backends/sqlite/${name}.test.ts`;
const CONTRACT = ["driver", "conformance", "busy", "file"].map(fileOf);
// In real time the contract takes a minute, and is the same: in time that is moved on, seconds.
const BUT_REAL_TIME = "^(?!sqlite, .*real time)";

const absent = missingBinary();
const title = absent === undefined ? "" : ` (skipped: ${absent})`;
describe.skipIf(absent !== undefined)(`the embedded store${title}`, () => {
  it.concurrent.each([
    ["22.14.0", [fileOf("driver")]],
    ["22.23.3", CONTRACT],
    ["24.21.0", CONTRACT],
  ])(
    "keeps its contract on Node %s, and that Node says nothing of experiments",
    async (version, files) => {
      const node = await nodeOf(version);
      const suite = [resolve("node_modules/vitest/vitest.mjs"), "run", "--project", "backends"];
      const { stdout, stderr } = await run(
        node,
        [...suite, "--no-color", "-t", BUT_REAL_TIME, ...files],
        // Not this run's environment: vitest would take itself for one of its own workers.
        { env: { PATH: process.env["PATH"], HOME: process.env["HOME"] }, timeout: COLD_MS },
      );
      expect(stdout).toMatch(new RegExp(`Test Files +${String(files.length)} passed`, "u"));
      expect(stdout + stderr).not.toMatch(/experimental/iu);
    },
    COLD_MS,
  );
});
