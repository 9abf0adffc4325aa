// What the tests need of C++ on this machine: Debian's compiler, CMake, gRPC and protoc, which
// tools/install-for-tests.js installs where it may.

import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

export const CPP_HOME = resolve("clients/cpp");

const BUILD = join(CPP_HOME, "build");
const MAKE = join(BUILD, "make");
const STAMP = join(BUILD, ".made-from");
const BUF = resolve("node_modules/@bufbuild/buf/bin/buf");
const ACTOR = resolve("clients/contract/actors/cpp.cc");
const SOURCES = [
  ...["CMakeLists.txt", "buf.gen.yaml", "held_lock.hpp"].map((name) => join(CPP_HOME, name)),
  ...[ACTOR, resolve("proto/stormlock/v1/lock.proto")],
];

// Twenty seconds of one core, on a machine that may be busy with much else.
const MADE_WITHIN_MS = 500_000;

/** Where the actor of the contract is built. */
export const cppActor: string = join(MAKE, "actor");

/** Why C++ cannot be used here, with Debian's names for what is missing; undefined when it can. */
export function missingCpp(): string | undefined {
  const runs = (program: string, args: readonly string[], input = ""): boolean =>
    spawnSync(program, args, { input, stdio: ["pipe", "ignore", "ignore"] }).status === 0;
  const has = (header: string): boolean =>
    runs("c++", ["-E", "-x", "c++", "-"], `#if !__has_include(<${header}>)\n#error\n#endif\n`);
  if (!runs("c++", ["--version"])) return "a C++ compiler (g++)";
  const missing = [
    { name: "cmake", isThere: runs("cmake", ["--version"]) },
    { name: "libgrpc++-dev", isThere: has("grpcpp/grpcpp.h") },
    { name: "libprotobuf-dev", isThere: has("google/protobuf/message.h") },
    { name: "protobuf-compiler", isThere: runs("protoc", ["--version"]) },
    { name: "protobuf-compiler-grpc", isThere: runs("which", ["grpc_cpp_plugin"]) },
  ].filter(({ isThere }) => !isThere);
  return missing.length === 0 ? undefined : missing.map(({ name }) => name).join(", ");
}

/**
 * Builds a program of one file, with the stubs that buildCpp has made.
 * @returns where it is
 */
export async function buildProgram(file: string): Promise<string> {
  await run("cmake", ["-S", CPP_HOME, "-B", MAKE, `-DPROGRAM=${file}`]);
  await run("cmake", ["--build", MAKE, "--target", "program"]);
  return join(MAKE, "program");
}

/**
 * Runs a program at the root of the project.
 * @returns what it printed to stdout
 * @throws Error with all that it printed when it fails
 */
async function run(program: string, args: readonly string[]): Promise<string> {
  try {
    return (await promisify(execFile)(program, args, { timeout: MADE_WITHIN_MS })).stdout;
  } catch (thrown) {
    const { message, stdout } = thrown as { message: string; stdout?: string };
    throw new Error(`${message}\n${stdout ?? ""}`, { cause: thrown });
  }
}

/** Makes the stubs and the actor, unless they are there and made of just these sources. */
export async function buildCpp(): Promise<void> {
  const hash = createHash("sha256");
  for (const file of SOURCES) hash.update(readFileSync(file));
  const sources = hash.digest("hex");
  if (existsSync(STAMP) && readFileSync(STAMP, "utf8") === sources) return;
  await rm(STAMP, { force: true });
  await run(process.execPath, [BUF, "generate", "--template", "clients/cpp/buf.gen.yaml"]);
  await run("cmake", ["-S", CPP_HOME, "-B", MAKE, "-DCMAKE_BUILD_TYPE=Release", "-DPROGRAM="]);
  await run("cmake", ["--build", MAKE, "-j", "2", "--target", "actor"]);
  await writeFile(STAMP, sources);
}
