// The single file, built once for all tests that run it.

import { execFile } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { digest } from "../../test/support/build.js";
import { alone } from "./alone.js";

export const BINARY = resolve("build/stormlock-linux-x64");

const STAMP = "build/binary.built-from";
// A Node has to be fetched first, where there is none yet.
const COLD_MS = 600_000;

/** Why it cannot be built here; undefined when it can. */
export function missingBinary(): string | undefined {
  const { platform, arch } = process;
  return platform === "linux" && arch === "x64"
    ? undefined
    : `it is for linux on x64, and this is ${platform} on ${arch}`;
}

/** Builds it, unless there is one of just these sources. */
export function prepareBinary(): Promise<void> {
  return alone(build);
}

async function build(): Promise<void> {
  const files = ["rolldown.config.js", "package-lock.json", "tools/node-release.js"];
  const tools = ["", "-bundle", "-compile"].map((name) => `tools/binary${name}.js`);
  const sources = digest(["src", "cmd"], [...files, ...tools]);
  if (existsSync(BINARY) && existsSync(STAMP) && readFileSync(STAMP, "utf8") === sources) return;
  await promisify(execFile)(process.execPath, ["tools/binary.js"], { timeout: COLD_MS });
  writeFileSync(STAMP, sources);
}
