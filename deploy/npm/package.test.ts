// The package as npm makes it, installed where nothing else is, on each Node that it is for.

import { execFile } from "node:child_process";
import { cp, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CliHome } from "../../test/support/cli.js";
import { missingBinary } from "../support/binary.js";
import { nodeOf } from "../support/nodes.js";

const run = promisify(execFile);
// The second has an SQLite of its own that cannot do what is needed yet.
const VERSIONS = ["20.20.2", "22.14.0", "22.23.3", "24.21.0"];
const COLD_MS = 900_000;

// What the package is made of. It is made in a copy: a build empties dist/, out of which other tests
// run the program meanwhile.
const SOURCES = [
  ...["package.json", "README.md", "LICENSE", "CHANGELOG.md", "rolldown.config.js"],
  ...["tsconfig.json", "tsconfig.build.json", "src", "cmd", "proto", "docs", "test", "deploy"],
];

interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly files: readonly { readonly path: string }[];
}

const absent = missingBinary();
let folder: string;
let packed: Packed;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "stormlock-package-"));
  const cwd = join(folder, "checkout");
  for (const name of SOURCES)
    await cp(resolve(name), join(cwd, name), { recursive: true, filter: isSource });
  await symlink(resolve("node_modules"), join(cwd, "node_modules"));
  await run("npm", ["run", "--silent", "build"], { cwd, timeout: COLD_MS });
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd });
  packed = (JSON.parse(stdout) as [Packed])[0];
  await writeFile(join(folder, "package.json"), '{ "private": true, "type": "module" }');
  const quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"];
  await run("npm", ["install", ...quiet, `./${packed.filename}`], {
    cwd: folder,
    timeout: COLD_MS,
  });
}, COLD_MS);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Not what others build in the meantime. */
function isSource(path: string): boolean {
  return basename(path) !== "build";
}

it("has the program, the API and the pages, and nothing of the workshop", () => {
  const paths = packed.files.map(({ path }) => path);
  expect(paths).toEqual(
    expect.arrayContaining([
      ...["README.md", "LICENSE", "CHANGELOG.md", "package.json", "docs/hold.md"],
      ...["dist/stormlock.cjs", "dist/guardian.cjs", "dist/sqlite-worker.js"],
      ...["dist/index.js", "dist/types/index.d.ts", "proto/stormlock/v1/lock.proto"],
    ]),
  );
  const folders = new Set(
    paths.filter((path) => path.includes("/")).map((path) => path.split("/")[0]),
  );
  expect([...folders].toSorted()).toEqual(["dist", "docs", "proto"]);
  expect(paths.filter((path) => /\.(?:pem|key|env|map|log|db)$|embedded/u.test(path))).toEqual(
    paths.filter((path) => path.endsWith(".embedded.d.ts")),
  );
  expect(packed.size).toBeLessThan(2 * 2 ** 20);
});

it("has types that a program of its user compiles with", async () => {
  await writeFile(
    join(folder, "uses.ts"),
    `import { connect } from "stormlock";
     const locks = connect({ servers: ["127.0.0.1:7420"] });
     export const id: string | undefined = await locks
       .acquire("x", { ttlMs: 60_000 })
       .then((got) => (got.kind === "granted" ? got.lease.leaseId : undefined));\n`,
  );
  const options = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2023"];
  const types = ["--types", "node", "--typeRoots", resolve("node_modules/@types")];
  const compiler = resolve("node_modules/typescript/bin/tsc");
  await run(process.execPath, [compiler, ...options, ...types, "uses.ts"], { cwd: folder });
});

const title = absent === undefined ? "" : ` (skipped: ${absent})`;
describe.skipIf(absent !== undefined)(`installed${title}`, () => {
  it.concurrent.each(VERSIONS)(
    "runs on Node %s, command and library",
    async (version) => {
      const node = await nodeOf(version);
      const home = await mkdtemp(join(folder, "home-"));
      const env = { HOME: home, PATH: `${dirname(node)}:/usr/bin:/bin` };
      const program = join(folder, "node_modules/.bin/stormlock");
      const { stdout: id, stderr } = await run(program, ["acquire", "x"], { env, cwd: home });
      expect(stderr).toMatch(/^using the local store [^\n]+\n$/u);
      await run(program, ["is-held", "x", id.trim()], { env, cwd: home });
      const held = await run(program, ["hold", "y", "--", "node", "--version"], { env, cwd: home });
      expect(held.stdout.trim()).toBe(`v${version}`);
      expect(held.stderr).not.toMatch(/experimental/iu);
      await using theirs = await CliHome.make();
      const daemon = theirs.start(["serve", "--listen", "127.0.0.1:0"], {
        program: [node, program],
      });
      const [, address = ""] = await daemon.stderrMatches(/listening on ([^",]+)/u);
      // In a folder of its own, since the other versions' tests run at the same time.
      await writeFile(
        join(home, "uses.mjs"),
        `import { connect } from "stormlock";
       const locks = connect({ servers: [${JSON.stringify(address)}] });
       const { hold } = await locks.hold("x", { ttlMs: 60_000 });
       console.log(hold.isHeld, hold.token);
       console.log(await hold.release());
       await locks[Symbol.asyncDispose]();\n`,
      );
      const library = await run(node, ["uses.mjs"], { env, cwd: home });
      expect(library.stdout).toMatch(/^true \d+n\nreleased\n$/u);
    },
    COLD_MS,
  );
});
