// What the tests need of Java on this machine, and the build of the example: everything comes into
// clients/java/build, the jars into Maven's own cache.

import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";

export const JAVA_HOME = resolve("clients/java");
export const HELD_LOCK = join(JAVA_HOME, "src/main/java/dev/stormlock/HeldLock.java");
export const JAVA_ACTOR = resolve("clients/contract/actors/JavaActor.java");

const BUILD = join(JAVA_HOME, "build");
const CLASSPATH = join(BUILD, "classpath.txt");
const ARGUMENTS = join(BUILD, "actor/arguments");
const ARCHIVE = join(BUILD, "actor.jsa");
const LOADED_WITHIN_MS = 3000;
const STAMP = join(BUILD, "made-from");
const SOURCES = [
  ...["pom.xml", "buf.gen.yaml"].map((name) => join(JAVA_HOME, name)),
  ...[resolve("proto/stormlock/v1/lock.proto"), HELD_LOCK, JAVA_ACTOR],
];
const LEAST_VERSION = 17;

// The newest that runs on Java 17.
const FORMATTER = "com.google.googlejavaformat:google-java-format:1.28.0:jar:all-deps";

// The jars are fetched when nothing is cached yet.
const COLD_MS = 500_000;

// A short program needs no optimizing compiler.
const QUICK = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m"];

// Only makes it quicker: Java goes without an archive that is not there or does not fit.
const USE_ARCHIVE = ["-Xshare:auto", "-Xlog:disable", `-XX:SharedArchiveFile=${ARCHIVE}`];
const isUse = (arg: string): boolean => USE_ARCHIVE.includes(arg);

/** What starts the actor of the contract; its class path is in a file, since it is long. */
export const javaActor: readonly string[] = [
  ...["java", ...QUICK, ...USE_ARCHIVE],
  ...[`@${ARGUMENTS}`, "JavaActor"],
];

/** Why the example cannot be built here; undefined when it can. */
export function missingJava(): string | undefined {
  const { stdout } = spawnSync("javac", ["-version"], { encoding: "utf8" });
  const [, version] = /^javac (\d+)/u.exec(stdout) ?? [];
  if (Number(version ?? 0) < LEAST_VERSION) return `a JDK, ${String(LEAST_VERSION)} or later`;
  const isThere = (program: string): boolean =>
    (process.env["PATH"] ?? "")
      .split(delimiter)
      .some((folder) => existsSync(join(folder, program)));
  if (!isThere("mvn")) return "Maven (mvn)";
  if (!isThere("protoc")) return "protoc (Debian: protobuf-compiler)";
  if (!isThere("grpc_java_plugin"))
    return "grpc_java_plugin (Debian: protobuf-compiler-grpc-java-plugin)";
  return undefined;
}

/** Makes stubs, example and actor, unless they are there and made of just these sources. */
export async function prepareJava(): Promise<void> {
  if (isMade()) return;
  await rm(BUILD, { recursive: true, force: true });
  const buf = resolve("node_modules/@bufbuild/buf/bin/buf");
  await run(process.execPath, [buf, "generate", "--template", "clients/java/buf.gen.yaml"]);
  await run("mvn", ["-q", "-B", "-ntp", "-f", "clients/java/pom.xml", "compile"]);
  await compile(JAVA_ACTOR, join(BUILD, "actor"));
  const jar = join(BUILD, "actor.jar");
  await run("jar", ["cf", jar, "-C", join(BUILD, "classes"), ".", "-C", join(BUILD, "actor"), "."]);
  const classPath = [jar, readFileSync(CLASSPATH, "utf8").trim()].join(delimiter);
  await writeFile(ARGUMENTS, `-cp ${JSON.stringify(classPath)}\n`);
  await archiveClasses();
  await writeFile(STAMP, digest());
}

/**
 * Has the actor load its classes once, and keeps them in the form that the next one maps into
 * memory: it starts with half the work, and many are started side by side.
 */
async function archiveClasses(): Promise<void> {
  const [program = "", ...args] = javaActor;
  const archiving = [`-XX:ArchiveClassesAtExit=${ARCHIVE}`, ...args.filter((arg) => !isUse(arg))];
  // Nobody listens there; it goes on trying until its input ends.
  const actor = execFile(program, [...archiving, "127.0.0.1:9", "nobody"], { timeout: COLD_MS });
  const ended = once(actor, "exit");
  actor.stdin?.write('{"do":"hold","resource":"none","ttlMs":3000,"waitMs":3000}\n');
  await new Promise((loaded) => setTimeout(loaded, LOADED_WITHIN_MS));
  actor.stdin?.end();
  await ended;
}

/** The example, the stubs, and what these need. */
export function javaClassPath(): string {
  return [join(BUILD, "classes"), readFileSync(CLASSPATH, "utf8").trim()].join(delimiter);
}

/**
 * Compiles one file that uses the example.
 * @throws Error with what the compiler says, warnings included
 */
export async function compile(file: string, into: string): Promise<void> {
  await mkdir(into, { recursive: true });
  const strictly = ["-Xlint:all,-path", "-Werror", "--release", String(LEAST_VERSION)];
  await run("javac", [...strictly, "-d", into, file], []);
}

/**
 * Runs a program with the example on its class path.
 * @returns what it printed
 */
export async function runJava(args: readonly string[], folder: string): Promise<string> {
  return run("java", [...QUICK, ...args], [folder]);
}

/** @throws Error naming the files that google-java-format would write in another way */
export async function checkJavaForm(files: readonly string[]): Promise<void> {
  const folder = join(BUILD, "format");
  const [, name = "", version = ""] = FORMATTER.split(":");
  const jar = join(folder, `${name}-${version}-all-deps.jar`);
  if (!existsSync(jar)) {
    const copy = ["dependency:copy", `-Dartifact=${FORMATTER}`, `-DoutputDirectory=${folder}`];
    await run("mvn", ["-q", "-B", "-ntp", "-f", "clients/java/pom.xml", ...copy]);
  }
  // It works on the compiler's own trees.
  const opened = ["api", "code", "file", "main", "parser", "tree", "util"].map(
    (part) => `--add-exports=jdk.compiler/com.sun.tools.javac.${part}=ALL-UNNAMED`,
  );
  await run("java", [...opened, "-jar", jar, "-n", "--set-exit-if-changed", ...files]);
}

/**
 * Runs a program, which sees the example and these folders of classes if they are given.
 * @returns what it printed to stdout
 * @throws Error with all that it printed when it fails
 */
async function run(
  program: string,
  args: readonly string[],
  classes?: readonly string[],
): Promise<string> {
  // In the environment, since it is too long to be read in a message.
  const CLASSPATH = classes && [javaClassPath(), ...classes].join(delimiter);
  const env = { ...process.env, ...(CLASSPATH !== undefined && { CLASSPATH }) };
  try {
    return (await promisify(execFile)(program, args, { timeout: COLD_MS, env })).stdout;
  } catch (thrown) {
    const { message, stdout } = thrown as { message: string; stdout?: string };
    throw new Error(`${message}\n${stdout ?? ""}`, { cause: thrown });
  }
}

function isMade(): boolean {
  return (
    existsSync(STAMP) &&
    readFileSync(STAMP, "utf8") === digest() &&
    javaClassPath()
      .split(delimiter)
      .every((path) => existsSync(path))
  );
}

function digest(): string {
  const hash = createHash("sha256");
  for (const source of SOURCES) hash.update(readFileSync(source));
  return hash.digest("hex");
}
