// What the manifests are rendered and checked with: kustomize, compiled from tools/go.mod, and the
// API's schemas out of a Python package, requirements.txt. Both are kept in build/.

import { execFile, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { missingGo } from "../../clients/go/toolchain.js";
import { alone } from "../support/alone.js";

/** Where the manifests are. */
export const KUBERNETES_HOME = resolve("deploy/kubernetes");

const BUILD = join(KUBERNETES_HOME, "build");
const STAMP = join(BUILD, "made-from");
const KUSTOMIZE = join(BUILD, "kustomize");
const PYTHON = join(BUILD, "venv/bin/python");
const SOURCES = ["requirements.txt", "tools/go.mod", "tools/go.sum"];

// A minute on two cores from cold, most of it compiling.
const MADE_WITHIN_MS = 500_000;
const RENDERED_WITHIN_MS = 120_000;

const run = promisify(execFile);
const says = (code: string): boolean =>
  spawnSync("python3", ["-c", code], { stdio: "ignore" }).status === 0;

/** Why manifests cannot be rendered here; undefined when they can. */
export function missingRenderer(): string | undefined {
  if (isMade()) return undefined;
  const go = missingGo();
  if (go !== undefined) return go;
  if (!says("import sys; sys.exit(sys.version_info < (3, 9))")) return "python3, 3.9 or later";
  if (says("import venv, ensurepip") || mayInstall()) return undefined;
  return "python3's venv (Debian: python3-venv)";
}

/** Makes what renders and checks, unless it is there and made of just these sources. */
export function prepareRenderer(): Promise<void> {
  return alone(make);
}

async function make(): Promise<void> {
  if (isMade()) return;
  await rm(BUILD, { recursive: true, force: true });
  const options = { timeout: MADE_WITHIN_MS };
  const go = { GOFLAGS: "-buildvcs=false -mod=readonly", GOWORK: "off" };
  await run("go", ["build", "-p", "2", "-o", KUSTOMIZE, "sigs.k8s.io/kustomize/kustomize/v5"], {
    ...{ ...options, cwd: join(KUBERNETES_HOME, "tools"), env: { ...process.env, ...go } },
  });
  if (!says("import venv, ensurepip")) {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    await run("apt-get", ["update", "-qq"], { ...options, env });
    await run("apt-get", ["install", "-qq", "-y", "python3-venv"], { ...options, env });
  }
  await run("python3", ["-m", "venv", join(BUILD, "venv")], options);
  const install = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input"];
  const requirements = join(KUBERNETES_HOME, "requirements.txt");
  await run(PYTHON, [...install, "--only-binary", ":all:", "-r", requirements], options);
  await writeFile(STAMP, digest());
}

/** What `kustomize build` makes of a folder, as YAML; one of deploy/kubernetes by its name there. */
export async function rendered(folder: string): Promise<string> {
  const { stdout, stderr } = await run(KUSTOMIZE, ["build", resolve(KUBERNETES_HOME, folder)], {
    timeout: RENDERED_WITHIN_MS,
  });
  // A warning here is a field that the next version does not know.
  if (stderr !== "") throw new Error(`kustomize build ${folder}: ${stderr}`);
  return stdout;
}

/**
 * Documents of YAML as objects.
 * @param versions of Kubernetes, by whose schemas they are checked, strictly
 * @throws Error with all complaints
 */
export async function checked(yaml: string, versions: readonly string[]): Promise<unknown[]> {
  const child = spawn(PYTHON, [join(KUBERNETES_HOME, "manifests.py"), ...versions], {
    timeout: RENDERED_WITHIN_MS,
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin.end(yaml);
  const code = await new Promise((ended) => child.once("close", ended));
  if (code !== 0) throw new Error(`the manifests are refused:\n${stderr}`);
  return JSON.parse(stdout) as unknown[];
}

function isMade(): boolean {
  return existsSync(STAMP) && readFileSync(STAMP, "utf8") === digest();
}

function digest(): string {
  const hash = createHash("sha256");
  for (const name of SOURCES) hash.update(readFileSync(join(KUBERNETES_HOME, name)));
  return hash.digest("hex");
}

function mayInstall(): boolean {
  return process.getuid?.() === 0 && existsSync("/usr/bin/apt-get");
}
