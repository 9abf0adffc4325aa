// The Python that the tests of this client run: a virtual environment of its own in build/, with
// what requirements.txt pins.

import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

export const PYTHON_HOME = resolve("clients/python");

const REQUIREMENTS = join(PYTHON_HOME, "requirements.txt");
const VENV = join(PYTHON_HOME, "build/venv");
const STAMP = join(VENV, ".made-from");
const OLDEST = "(3, 9)";

/** What runs in the environment. */
export const venvPython: string = join(VENV, "bin/python");

// A minute on a fast line, most of it waiting.
const MADE_WITHIN_MS = 500_000;

const run = promisify(execFile);
const says = (code: string): boolean =>
  spawnSync("python3", ["-c", code], { stdio: "ignore" }).status === 0;

/** Why there is no Python to make an environment of; undefined when there is one. */
export function missingPython(): string | undefined {
  if (isMade()) return undefined;
  if (!says(`import sys; sys.exit(sys.version_info < ${OLDEST})`)) return "python3, 3.9 or later";
  if (says("import venv, ensurepip") || mayInstall()) return undefined;
  return "python3's venv (Debian: python3-venv)";
}

/** Makes the environment, unless it is there and made of just these requirements. */
export async function preparePython(): Promise<void> {
  if (isMade()) return;
  if (!says("import venv, ensurepip")) {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    await run("apt-get", ["update", "-qq"], { env, timeout: MADE_WITHIN_MS });
    await run("apt-get", ["install", "-qq", "-y", "python3-venv"], {
      env,
      timeout: MADE_WITHIN_MS,
    });
  }
  await rm(VENV, { recursive: true, force: true });
  await run("python3", ["-m", "venv", VENV], { timeout: MADE_WITHIN_MS });
  const install = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input"];
  await run(venvPython, [...install, "--only-binary", ":all:", "-r", REQUIREMENTS], {
    timeout: MADE_WITHIN_MS,
  });
  // The library itself, as it stands in the tree.
  const { stdout } = await run(venvPython, [
    "-c",
    'import sysconfig; print(sysconfig.get_path("purelib"), end="")',
  ]);
  await writeFile(join(stdout, "stormlock_client.pth"), `${join(PYTHON_HOME, "src")}\n`);
  await writeFile(STAMP, digest());
}

function isMade(): boolean {
  return existsSync(STAMP) && readFileSync(STAMP, "utf8") === digest();
}

function digest(): string {
  return createHash("sha256").update(readFileSync(REQUIREMENTS)).digest("hex");
}

function mayInstall(): boolean {
  return process.getuid?.() === 0 && existsSync("/usr/bin/apt-get");
}
