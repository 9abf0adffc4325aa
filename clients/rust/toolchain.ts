// The Rust that the tests of this example run: stubs by plugins of its own, all of it in build/.

import { execFile, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

export const RUST_HOME = resolve("clients/rust");

const LEAST_MINOR = 88;

// As README.md names them; their own lock files pin the rest.
export const PLUGINS = ["protoc-gen-prost@0.5.0", "protoc-gen-tonic@0.5.0"] as const;

const BUILD = join(RUST_HOME, "build");
const TOOLS = join(BUILD, "tools");
const STAMP = join(TOOLS, ".made-from");

// Everything is fetched and compiled when nothing is cached yet: a minute when nobody else works.
const COLD_MS = 900_000;

// For whoever has a profile of their own: all that is built here shares what it depends on.
const ENV = { CARGO_INCREMENTAL: "0", CARGO_PROFILE_DEV_DEBUG: "0", CARGO_TERM_COLOR: "never" };

/** Where the actor of the contract is built. */
export const rustActor: string = join(BUILD, "target/debug/examples/actor");

/** Why Rust cannot be used here; undefined when it can. */
export function missingRust(): string | undefined {
  const { error, stdout } = spawnSync("cargo", ["--version"], { encoding: "utf8" });
  const [, minor] = /^cargo 1\.(\d+)/u.exec(error === undefined ? stdout : "") ?? [];
  if (minor === undefined) return "Rust is not installed";
  return Number(minor) < LEAST_MINOR
    ? `Rust is ${stdout.trim()}, and 1.${String(LEAST_MINOR)} is needed`
    : undefined;
}

/**
 * Runs cargo in a package's folder; what it builds goes to build/target.
 * @returns what was printed to stdout
 * @throws Error with all that was printed when it fails
 */
export function runCargo(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  folder: string = RUST_HOME,
): Promise<string> {
  const target = { CARGO_TARGET_DIR: join(BUILD, "target") };
  return run("cargo", args, folder, { ...ENV, ...target, ...env });
}

/** Makes the stubs as README.md says, below the root or another folder. */
export async function generateStubs(root: string = resolve(".")): Promise<void> {
  await installPlugins();
  const buf = resolve("node_modules/@bufbuild/buf/bin/buf");
  const words = ["generate", "--template", "clients/rust/buf.gen.yaml", "-o", root];
  const PATH = `${join(TOOLS, "bin")}:${process.env["PATH"] ?? ""}`;
  await run(process.execPath, [buf, ...words], resolve("."), { PATH });
}

export async function buildRustActor(): Promise<void> {
  await generateStubs();
  await runCargo(["build", "--quiet", "--locked", "--example", "actor"]);
}

async function installPlugins(): Promise<void> {
  const madeFrom = PLUGINS.join("\n");
  if (existsSync(STAMP) && readFileSync(STAMP, "utf8") === madeFrom) return;
  const target = join(BUILD, "tools-target");
  // Not optimized: that takes longer than all that it saves.
  const install = ["install", "--quiet", "--locked", "--debug", "--force", "--root", TOOLS];
  await run("cargo", [...install, ...PLUGINS], RUST_HOME, { ...ENV, CARGO_TARGET_DIR: target });
  await rm(target, { recursive: true, force: true });
  await writeFile(STAMP, madeFrom);
}

async function run(
  program: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const options = { cwd, timeout: COLD_MS, env: { ...process.env, ...env } };
  try {
    return (await promisify(execFile)(program, args, options)).stdout;
  } catch (thrown) {
    const { message, stdout } = thrown as { message: string; stdout?: string };
    throw new Error(`${message}\n${stdout ?? ""}`, { cause: thrown });
  }
}
