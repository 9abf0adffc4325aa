// A held lock takes a reader at most ten lines of their own: those that docs/clients.md shows for
// the libraries are counted, and run. (The examples to copy count theirs in their own folders.)

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { rolldown } from "rolldown";
import { describe, expect, it } from "vitest";
import { isCi } from "../test/support/ci.js";
import { CliHome } from "../test/support/cli.js";
import { blocksOf, type Block } from "../test/support/doc-page.js";
import { missingCpp } from "./cpp/toolchain.js";
import { missingGo, runGo } from "./go/toolchain.js";
import { missingPython, preparePython, venvPython } from "./python/toolchain.js";

const MOST_LINES = 10;
const SERVER = "127.0.0.1:7420";
const PAGE = "docs/clients.md";

// Nothing is cached on a fresh machine.
const WITHIN_MS = 900_000;

interface Shown {
  readonly language: string;
  readonly missing: string | undefined;
  readonly isIt: (block: Block) => boolean;
  /** Runs the lines in a folder of their own. @returns what was printed, the token first */
  readonly run: (text: string, folder: string) => Promise<string>;
}

const exec = async (program: string, args: readonly string[]): Promise<string> =>
  (await promisify(execFile)(program, args, { timeout: WITHIN_MS })).stdout;

const LANGUAGES: readonly Shown[] = [
  {
    language: "TypeScript",
    missing: undefined,
    isIt: ({ text }) => text.includes('from "stormlock"'),
    run: async (text, folder) => {
      await writeFile(join(folder, "main.ts"), text);
      await mkdir(join(folder, "node_modules"));
      await symlink(resolve("."), join(folder, "node_modules/stormlock"));
      const bundling = await rolldown({
        input: join(folder, "main.ts"),
        platform: "node",
        external: [/^stormlock/u],
        transform: { target: "node20.19" },
      });
      await bundling.write({ file: join(folder, "main.mjs"), format: "esm" });
      await bundling.close();
      return exec(process.execPath, [join(folder, "main.mjs")]);
    },
  },
  {
    language: "Go",
    missing: missingGo(),
    isIt: ({ text }) => text.startsWith("import stormlock "),
    // In a function that has a context and returns an error.
    run: async (text, folder) => {
      const [head = "", ...rest] = text.split("\n");
      const body = rest.filter((line) => line !== "").map((line) => `\t${line}`);
      const file = join(folder, "main.go");
      const program = [
        ...["package main", "", 'import (\n\t"context"\n\t"fmt"\n)', "", head, ""],
        ...["func work(ctx context.Context) error {", ...body],
        '\tfmt.Println(lease.Token(), "held:", lease.Held())\n\treturn nil\n}\n',
        "func main() {\n\tif err := work(context.Background()); err != nil {\n\t\tpanic(err)\n\t}\n}\n",
      ];
      await writeFile(file, program.join("\n"));
      expect(await runGo(["-l", file], {}, "gofmt")).toBe("");
      return runGo(["run", file]);
    },
  },
  {
    language: "Python",
    missing: missingPython(),
    isIt: ({ text }) => text.startsWith("import stormlock_client"),
    run: async (text) => {
      await preparePython();
      return exec(venvPython, ["-c", text]);
    },
  },
];

const named = (name: string, missing: string | undefined): string =>
  missing === undefined ? name : `${name} (needs: ${missing})`;

describe("ten lines of a reader's own, on the page, hold a lock", () => {
  for (const { language, missing, isIt, run } of LANGUAGES) {
    const test = missing === undefined || isCi ? it : it.skip;
    test(
      named(`in ${language}`, missing),
      async () => {
        const [shown] = blocksOf(PAGE).filter(isIt);
        const text = shown?.text ?? "";
        const lines = text.split("\n").filter((line) => line.trim() !== "");
        expect(lines.length).toBeGreaterThan(1);
        expect(lines.length).toBeLessThanOrEqual(MOST_LINES);
        expect(text).toContain(SERVER);
        await using home = await CliHome.make();
        const { address } = await home.daemon([], { mostMs: WITHIN_MS });
        await inFolder(async (folder) => {
          expect(await run(text.replace(SERVER, address), folder)).toMatch(/\b\d{16}\b/u);
        });
      },
      WITHIN_MS,
    );
  }
});

describe("stubs by buf, with plugins on this machine", () => {
  const buf = resolve("node_modules/@bufbuild/buf/bin/buf");
  const generate = (template: string, folder: string): Promise<string> =>
    exec(process.execPath, [buf, "generate", "--template", template, "-o", folder]);

  const forOther = missingCpp();
  const test = forOther === undefined || isCi ? it : it.skip;
  test(named("are made by the template that the page shows for any other language", forOther), () =>
    inFolder(async (folder) => {
      const [shown] = blocksOf(PAGE).filter(({ text }) => text.startsWith("version: v2"));
      const template = join(folder, "other.gen.yaml");
      await writeFile(template, shown?.text ?? "");
      await generate(template, folder);
      const made = await readdir(join(folder, "gen/stormlock/v1"));
      expect(made.sort()).toEqual(["lock_pb.rb", "lock_services_pb.rb"]);
    }),
  );

  const forPython = missingPython();
  const testPython = forPython === undefined || isCi ? it : it.skip;
  testPython(
    named("in Python are those that the library has", forPython),
    async () => {
      await preparePython();
      await inFolder(async (folder) => {
        await generate("clients/python/buf.gen.yaml", folder);
        const stubs = join(folder, "clients/python/build/stubs");
        const own = resolve("clients/python/src/stormlock_client/_gen");
        expect(
          await exec("diff", [`${stubs}/stormlock/v1/lock_pb2.pyi`, `${own}/lock_pb2.pyi`]),
        ).toBe("");
        const code = `import sys; sys.path.insert(0, ${JSON.stringify(stubs)})
from stormlock.v1 import lock_pb2
print(lock_pb2.Granted(seq=7).SerializeToString().hex())`;
        expect(await exec(venvPython, ["-c", code])).toBe("1007\n");
      });
    },
    WITHIN_MS,
  );
});

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "stormlock-lines-"));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
