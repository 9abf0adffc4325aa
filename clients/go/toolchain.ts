// What the tests need of Go on this machine.

import { execFile, spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";

const FOLDER = resolve("clients/go");
const LEAST_MINOR = 24;

// The modules are fetched, and everything is compiled, when nothing is cached yet.
const COLD_MS = 600_000;

/** Where the actor of the contract is built. */
export const goActor = resolve("clients/go/build/actor");

/** Why Go cannot be used here; undefined when it can. */
export function missingGo(): string | undefined {
  const { stdout } = spawnSync("go", ["env", "GOVERSION"], { encoding: "utf8", cwd: "/" });
  const [, minor] = /^go1\.(\d+)/u.exec(stdout) ?? [];
  if (minor === undefined) return "Go is not installed";
  return Number(minor) < LEAST_MINOR
    ? `Go is ${stdout.trim()}, and 1.${String(LEAST_MINOR)} is needed`
    : undefined;
}

/**
 * Runs `go` in the module's folder.
 * @returns what it printed to stdout
 * @throws Error with what it printed to stderr when it fails
 */
export async function runGo(args: readonly string[], program = "go"): Promise<string> {
  const options = {
    cwd: FOLDER,
    timeout: COLD_MS,
    // The version of the repository is nothing that a test's program has to carry.
    env: { ...process.env, GOFLAGS: "-buildvcs=false -mod=readonly", GOWORK: "off" },
  };
  const { stdout } = await promisify(execFile)(program, args, options);
  return stdout;
}

export async function buildGoActor(): Promise<void> {
  await runGo(["build", "-o", goActor, "../contract/actors/go.go"]);
}
