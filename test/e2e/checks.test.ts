// The checks check: what they are there to refuse is planted, in a copy, and they refuse it.

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const ROOT = resolve(import.meta.dirname, "../..");

/** What no file may import, and by which rule. Each is planted in a file of its own. */
const PLANTED: readonly [what: string, path: string, text: string, rule: string][] = [
  [
    "the domain that reads a file",
    "src/lock/planted-file.ts",
    'import { readFileSync } from "node:fs";\nexport const planted = readFileSync;\n',
    "lock-imports-nothing",
  ],
  [
    "the domain that knows a door",
    "src/lock/planted-door.ts",
    'import { serve } from "../rpc/serve.js";\nexport const planted = serve;\n',
    "lock-imports-nothing",
  ],
  [
    "a holder that knows the daemon's side",
    "src/lock/holder/planted-daemon.ts",
    'import { LockManager } from "../daemon/manager.js";\nexport const planted = LockManager;\n',
    "holder-and-daemon-never-see-each-other",
  ],
  [
    "a command that knows a driver",
    "cmd/stormlock/planted-driver.ts",
    'import { DatabaseSync } from "@photostructure/sqlite";\nexport const planted = DatabaseSync;\n',
    "drivers-live-in-one-place",
  ],
  [
    "a configuration that knows a backend",
    "src/config/planted-backend.ts",
    'import { backendType } from "../backends/registry.js";\nexport const planted = backendType;\n',
    "config-only-lock",
  ],
  [
    "a backend that knows another",
    "src/backends/planted/backend.ts",
    'import { openSqlite } from "../sqlite/backend.js";\nexport const planted = openSqlite;\n',
    "backends-never-see-each-other",
  ],
  [
    "a library that knows a command",
    "src/planted-command.ts",
    'import { run } from "../cmd/stormlock/run.js";\nexport const planted = run;\n',
    "nobody-imports-commands-or-tests",
  ],
  [
    "a program that needs what only its makers have",
    "src/rpc/planted-tool.ts",
    'import { expect } from "vitest";\nexport const planted = expect;\n',
    "no-dev-dependency-in-the-product",
  ],
  ["a circle", "src/lock/planted-circle.ts", 'export * from "./planted-half.js";\n', "no-circles"],
];

/** The other half of the circle: it may be blamed on either. */
const HALF = {
  path: "src/lock/planted-half.ts",
  text: 'export * from "./planted-circle.js";\n',
} as const;

interface Violation {
  readonly from: string;
  readonly to: string;
  readonly rule: { readonly name: string };
}

describe("the import rules", () => {
  let copy: string;
  let violations: readonly Violation[];

  beforeAll(async () => {
    copy = await mkdtemp(join(tmpdir(), "stormlock-checks-"));
    for (const name of ["src", "cmd", "package.json", "tsconfig.json", ".dependency-cruiser.cjs"]) {
      await cp(join(ROOT, name), join(copy, name), { recursive: true });
    }
    await symlink(join(ROOT, "node_modules"), join(copy, "node_modules"));
    for (const [, path, text] of PLANTED) {
      await mkdir(dirname(join(copy, path)), { recursive: true });
      await writeFile(join(copy, path), text);
    }
    await writeFile(join(copy, HALF.path), HALF.text);
    violations = await violationsIn(copy);
  });
  afterAll(() => rm(copy, { recursive: true, force: true }));

  it.each(PLANTED)("refuse %s", (_what, path, _text, rule) => {
    const broken = violations.filter(({ from, to }) => from === path || to === path);
    expect(broken.map((each) => each.rule.name)).toContain(rule);
  });

  it("find nothing in what is there", () => {
    const planted = new Set<string>([...PLANTED.map(([, path]) => path), HALF.path]);
    expect(violations.filter(({ from }) => !planted.has(from))).toEqual([]);
  });
});

/** What dependency-cruiser complains of, with the project's own rules. */
async function violationsIn(folder: string): Promise<readonly Violation[]> {
  const cruiser = join(ROOT, "node_modules/dependency-cruiser/bin/dependency-cruise.mjs");
  const argv = [cruiser, "--output-type", "json", "src", "cmd"];
  const stdout = await new Promise<string>((done) => {
    const options = { cwd: folder, maxBuffer: 64 * 1024 * 1024 };
    // Its exit code counts the violations; what they are is in its output.
    execFile(process.execPath, argv, options, (_error, output) => {
      done(output);
    });
  });
  const { summary } = JSON.parse(stdout) as {
    summary: { totalCruised: number; violations: readonly Violation[] };
  };
  expect(summary.totalCruised).toBeGreaterThan(100);
  return summary.violations;
}

describe("what is installed", () => {
  // npm 11 runs no install scripts unless it is told to, and .npmrc tells it not to. These have
  // one, and work without it: the sqlite package and buf bring their binaries, and protobufjs
  // only prints advice.
  const WORK_WITHOUT = ["@bufbuild/buf", "@photostructure/sqlite", "protobufjs"];

  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, { hasInstallScript?: boolean }>;
  };

  it("runs no install script", () => {
    const settings = readFileSync(join(ROOT, ".npmrc"), "utf8").split("\n");
    expect(settings).toContain("ignore-scripts=true");
  });

  it("needs no install script", () => {
    const scripted = Object.entries(lock.packages)
      .filter(([, { hasInstallScript }]) => hasInstallScript === true)
      .map(([path]) => path.replace(/^.*node_modules\//u, ""));
    expect([...new Set(scripted)].sort()).toEqual(WORK_WITHOUT);
  });

  it("has a prebuilt binary of the sqlite package for this machine", async () => {
    const { DatabaseSync } = await import("@photostructure/sqlite");
    const database = new DatabaseSync(":memory:");
    expect(database.prepare("SELECT 1 + 1 AS two").get()).toEqual({ two: 2 });
    database.close();
  });
});
