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
 * Runs a program of Go's in the module's folder.
 * @returns what it printed to stdout
 * @throws Error with all that it printed when it fails
 */
export async function runGo(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  program = "go",
): Promise<string> {
  // What a checkout's version is, or a workspace around it, is nothing that a test depends on.
  const settings = { GOFLAGS: "-buildvcs=false -mod=readonly", GOWORK: "off" };
  const options = { cwd: FOLDER, timeout: COLD_MS, env: { ...process.env, ...settings, ...env } };
  try {
    return (await promisify(execFile)(program, args, options)).stdout;
  } catch (thrown) {
    const { message, stdout } = thrown as { message: string; stdout?: string };
    throw new Error(`${message}\n${stdout ?? ""}`, { cause: thrown });
  }
}

export async function buildGoActor(): Promise<void> {
  await runGo(["build", "-o", goActor, "../contract/actors/go.go"]);
}
