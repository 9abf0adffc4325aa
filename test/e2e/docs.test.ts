// What the pages for readers show is done here, block by block, as they print it:
//
//   sh       is run, and must succeed;
//   console  is run command by command, and must print what the page says (ids, times and
//            tokens are compared as such); a command that fails is followed by `echo $?`;
//   ts       is checked by the compiler, and run;
//   toml     is a configuration that `config check` accepts;
//   json     is JSON;
//   text     is for reading only: a reader is not asked to type it here.
//
// The blocks of a page share a shell, a home and a daemon's address of their own.

import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { isCi } from "../support/ci.js";
import { blocksOf, normalized, pages, type Block } from "../support/doc-page.js";
import { Reader } from "../support/doc-reader.js";

const ROOT = resolve(import.meta.dirname, "../..");
const PAGES = pages(ROOT);
const RUN = new Set(["sh", "console", "ts", "toml"]);
const READ = new Set(["json", "text"]);

// A machine that has only Node and npm passes the rest; CI has them all.
const missing = ["bash", "curl"].filter((program) => !isInstalled(program));
const mayRun = missing.length === 0 || isCi;

describe.each(PAGES)("%s", (page) => {
  const blocks = blocksOf(join(ROOT, page));

  it("marks every block as what it is", () => {
    const unknown = blocks.filter(({ language }) => !RUN.has(language) && !READ.has(language));
    expect(unknown.map(({ language, line }) => `${page}:${String(line)}: ${language}`)).toEqual([]);
    for (const { text } of blocks.filter(({ language }) => language === "json")) JSON.parse(text);
  });

  it("leads to files that are there", () => {
    const text = readFileSync(join(ROOT, page), "utf8");
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/gu)].map(([, to = ""]) =>
      join(dirname(page), to),
    );
    const named = [...text.matchAll(/`((?:src|cmd|test|proto|docs|tools)\/[\w./-]*\w\/?)`/gu)].map(
      ([, path = ""]) => path,
    );
    const missing = [...links, ...named].filter((path) => !existsSync(join(ROOT, path)));
    expect(missing).toEqual([]);
  });

  const isShowing = blocks.some(({ language }) => RUN.has(language));
  const name = mayRun ? "does what it shows" : `does what it shows (needs ${missing.join(", ")})`;
  if (!isShowing) return;
  it.skipIf(!mayRun)(name, async () => {
    await using reader = await Reader.settle(page, blocks);
    const { stderr, ended } = await reader.read();
    for (const done of ended) {
      const where = `${page}:${String(done.line)}: ${done.what}`;
      const story = `${where}\n${done.printed}\n${stderr}`;
      expect(done.code, story).toBeDefined();
      if (done.mustSucceed) expect(done.code, story).toBe(0);
      if (done.expected !== undefined) {
        expect(`${where}\n${normalized(done.printed)}`).toBe(
          `${where}\n${normalized(done.expected)}`,
        );
      }
    }
  });
});

describe("the pages together", () => {
  it("show TypeScript that the compiler accepts", async () => {
    const folder = await mkdtemp(join(tmpdir(), "stormlock-docs-ts-"));
    try {
      const files: string[] = [];
      for (const page of PAGES) {
        for (const { text, line } of blocksOf(join(ROOT, page)).filter(isTypeScript)) {
          const file = `${page.replaceAll(/\W/gu, "-")}-${String(line)}.ts`;
          await writeFile(join(folder, file), text);
          files.push(file);
        }
      }
      expect(files).not.toEqual([]);
      await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
      await writeFile(join(folder, "package.json"), '{"type":"module"}');
      const paths = {
        stormlock: [join(ROOT, "src/index.ts")],
        "stormlock/conformance": [join(ROOT, "src/conformance.ts")],
      };
      const compilerOptions = { rootDir: "/", noUnusedLocals: false, paths };
      await writeFile(
        join(folder, "tsconfig.json"),
        JSON.stringify({
          extends: join(ROOT, "tsconfig.json"),
          compilerOptions,
          files,
          include: [],
        }),
      );
      const complaints = await promisify(execFile)(process.execPath, [
        join(ROOT, "node_modules/typescript/bin/tsc"),
        "-p",
        folder,
      ]).then(
        () => "",
        (failed: unknown) => (failed as { stdout: string }).stdout,
      );
      expect(complaints).toBe("");
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("name where the numbered rules are", () => {
    const map = readFileSync(join(ROOT, "docs/architecture.md"), "utf8");
    const rows = [...map.matchAll(/^\| ([A-Z]) +\|[^|]+\| `([^`]+)` +\|$/gmu)];
    expect(rows.length).toBeGreaterThan(10);
    for (const [row, letter = "", path = ""] of rows) {
      const rules = readFileSync(join(ROOT, path), "utf8").matchAll(
        /^\s*(?:\/\/|\*) {2,}([A-Z])\d+\. /gmu,
      );
      expect([...new Set([...rules].map(([, first]) => first))], row).toEqual([letter]);
    }
  });

  it("promise two commands that package.json has", () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    const first = blocksOf(join(ROOT, "README.md")).find(({ language }) => language === "sh");
    expect(first?.text.split("\n")).toEqual(["npm run demo", "npm test"]);
    expect(scripts["demo"]).toMatch(/node tools\/demo\.js$/u);
    // In the script itself: with ignore-scripts (.npmrc) npm runs no script before another.
    const both = /^node tools\/install\.js && node tools\/install-for-tests\.js && vitest run$/u;
    expect(scripts["test"]).toMatch(both);
    expect(Object.keys(scripts).filter((name) => /^(?:pre|post)/u.test(name))).toEqual([]);
  });
});

function isInstalled(program: string): boolean {
  const folders = (process.env["PATH"] ?? "").split(":");
  return folders.some((folder) => existsSync(join(folder, program)));
}

function isTypeScript({ language }: Block): boolean {
  return language === "ts";
}
