// The Python client: its rules on a fake clock, itself against daemons, and what a package needs.

import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { Authority } from "../../test/rpc/support/certificates.js";
import { isCi } from "../../test/support/ci.js";
import { blocksOf } from "../../test/support/doc-page.js";
import { HoldHome } from "../../test/support/hold-cli.js";
import { missingPython, preparePython, PYTHON_HOME, venvPython } from "./toolchain.js";

const PREPARED_WITHIN_MS = 600_000;
const WITHIN_MS = 120_000;

const missing = missingPython();
const test = missing === undefined || isCi ? it : it.skip;
const named = (name: string): string =>
  missing === undefined ? name : `${name} (needs: ${missing})`;

async function python(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(venvPython, args, {
    cwd: PYTHON_HOME,
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1", ...env },
    timeout: WITHIN_MS,
  });
  return stdout + stderr;
}

describe("the Python client", () => {
  beforeAll(async () => {
    if (missing === undefined) await preparePython();
    else if (isCi) throw new Error(missing);
  }, PREPARED_WITHIN_MS);

  test(
    named("keeps the rules, on a fake clock and against daemons"),
    async () => {
      await using home = await HoldHome.make();
      const daemon = await home.daemon();
      using authority = new Authority();
      const server = authority.issue("/CN=daemon", "IP:127.0.0.1");
      const ann = authority.issue("/CN=ann");
      const files = { "ca.crt": authority.cert, "d.crt": server.cert, "d.key": server.key };
      for (const [name, pem] of Object.entries({
        ...files,
        "ann.crt": ann.cert,
        "ann.key": ann.key,
      }))
        await writeFile(join(home.cli.path, name), pem);
      const path = (name: string): string => join(home.cli.path, name);
      const flags = ["--cert", path("d.crt"), "--key", path("d.key"), "--ca", path("ca.crt")];
      const secure = await home.cli.daemon(["-c", home.config, ...flags]);
      const told = await python(["-X", "dev", "-W", "error", "-m", "unittest", "-q"], {
        STORMLOCK_TEST_SERVER: daemon.address,
        STORMLOCK_TEST_STORE: path("locks.db"),
        STORMLOCK_TEST_TLS_SERVER: secure.address,
        STORMLOCK_TEST_TLS_FILES: home.cli.path,
      });
      expect(told).toMatch(/^OK$/mu); // and nothing is skipped
    },
    WITHIN_MS,
  );

  test(
    named("does what its pages show"),
    async () => {
      await using home = await HoldHome.make();
      const { address } = await home.daemon();
      const examples = [
        ...blocksOf(join(PYTHON_HOME, "README.md")).filter(({ language }) => language === "python"),
        ...blocksOf("docs/clients.md").filter(({ text }) => text.includes("stormlock_client")),
      ].filter(({ text }) => /^(?:import|from) /u.test(text));
      expect(examples.length).toBeGreaterThan(5);
      for (const { text } of examples) {
        const code = text.replaceAll("127.0.0.1:7420", address);
        await python(["-X", "dev", "-c", code], { STORMLOCK_SERVER: address });
      }
    },
    WITHIN_MS,
  );

  test(
    named("has stubs that are what proto/ says"),
    async () => {
      await python(["tools/generate.py", "--check"]);
    },
    WITHIN_MS,
  );

  test(
    named("has types, and a form, that the checkers accept"),
    async () => {
      await python(["-m", "ruff", "format", "--check", ".", "../contract/actors"]);
      await python(["-m", "ruff", "check", ".", "../contract/actors"]);
      await python(["-m", "mypy", "--cache-dir", "build/mypy"]);
    },
    WITHIN_MS,
  );

  test(
    named("is a package that installs, with its types"),
    async () => {
      const folder = await mkdtemp(join(tmpdir(), "stormlock-python-"));
      try {
        for (const part of ["src", "pyproject.toml", "README.md"])
          await cp(join(PYTHON_HOME, part), join(folder, part), { recursive: true });
        const pip = ["-m", "pip", "-q", "--disable-pip-version-check"];
        const alone = ["--no-index", "--no-deps", "--no-build-isolation"];
        await python([...pip, "wheel", ...alone, "-w", join(folder, "wheels"), folder]);
        const [wheel = ""] = await readdir(join(folder, "wheels"));
        expect(wheel).toMatch(/^stormlock_client-.*-py3-none-any\.whl$/u);
        const there = join(folder, "there");
        await python([...pip, "install", ...alone, "-t", there, join(folder, "wheels", wheel)]);
        expect(await readdir(join(there, "stormlock_client"))).toContain("py.typed");
        const load = "import stormlock_client.aio as aio; print(aio.__file__, end='')";
        expect(await python(["-c", load], { PYTHONPATH: there })).toBe(
          join(there, "stormlock_client/aio.py"),
        );
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
    WITHIN_MS,
  );
});
