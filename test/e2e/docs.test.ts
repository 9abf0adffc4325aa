// What the pages for readers show is done here, block by block, as they print it:
//
//   sh       is run, and must succeed;
//   console  is run command by command, and must print what the page says (ids, times and
//            tokens are compared as such); a command that fails is followed by `echo $?`;
//   ts       is checked by the compiler, and run;
//   toml     is a configuration that `config check` accepts;
//   text     is for reading only.
//
// The blocks of a page share a shell, a home and a daemon's address of their own.

import { execFile, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { hostname, tmpdir, userInfo } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { rolldown } from "rolldown";
import { describe, expect, it } from "vitest";
import { blocksOf, exchangesOf, normalized, pages, type Block } from "../support/doc-page.js";

const ROOT = resolve(import.meta.dirname, "../..");
const PAGES = pages(ROOT);
const RUN = new Set(["sh", "console", "ts", "toml"]);

// A machine that has only Node and npm passes the rest; CI has them all.
const missing = ["bash", "curl"].filter((program) => !isInstalled(program));
const mayRun = missing.length === 0 || process.env["CI"] !== undefined;
const MOST_MS = 90_000;

// The address that the pages use. Here every page has one of its own.
const ADDRESS = "127.0.0.1:7420";

describe.each(PAGES)("%s", (page) => {
  const blocks = blocksOf(join(ROOT, page));

  it("marks every block as what it is", () => {
    const unknown = blocks.filter(({ language }) => !RUN.has(language) && language !== "text");
    expect(unknown.map(({ language, line }) => `${page}:${String(line)}: ${language}`)).toEqual([]);
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
    expect(scripts["pretest"]).toBe("node tools/install.js");
  });
});

function isInstalled(program: string): boolean {
  const folders = (process.env["PATH"] ?? "").split(":");
  return folders.some((folder) => existsSync(join(folder, program)));
}

function isTypeScript({ language }: Block): boolean {
  return language === "ts";
}

/** One thing that a page shows, and what came of it. */
interface Done {
  readonly line: number;
  readonly what: string;
  /** Undefined when it was never reached. */
  readonly code: number | undefined;
  readonly printed: string;
  readonly expected: string | undefined;
  readonly mustSucceed: boolean;
}

interface Step {
  readonly line: number;
  readonly what: string;
  readonly script: string;
  readonly expected?: string;
  readonly mustSucceed: boolean;
}

/** Somebody who types what a page shows, in a copy of the checkout of their own. */
class Reader implements AsyncDisposable {
  readonly #folder: string;
  readonly #address: string;
  readonly #steps: Step[] = [];
  #group: number | undefined;

  private constructor(folder: string, address: string) {
    this.#folder = folder;
    this.#address = address;
  }

  static async settle(page: string, blocks: readonly Block[]): Promise<Reader> {
    const folder = await mkdtemp(join(tmpdir(), "stormlock-docs-"));
    const reader = new Reader(folder, `127.0.0.1:${String(await freePort())}`);
    try {
      await reader.#furnish();
      for (const block of blocks) await reader.#prepare(block);
    } catch (error) {
      await reader[Symbol.asyncDispose]();
      throw new Error(`${page}: ${String(error)}`, { cause: error });
    }
    return reader;
  }

  /** Does everything, in order, until something that must succeed does not. */
  async read(): Promise<{ readonly stderr: string; readonly ended: readonly Done[] }> {
    const stderr = await this.#type();
    const ended: Done[] = [];
    for (const [at, { line, what, expected, mustSucceed }] of this.#steps.entries()) {
      const code = await this.#resultOf(at, "code");
      const printed = (await this.#resultOf(at, "out")) ?? "";
      ended.push({
        ...{ line, what, mustSucceed },
        code: code === undefined ? undefined : Number(code),
        printed: this.#asPrinted(printed),
        expected,
      });
    }
    return { stderr, ended };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#group !== undefined) {
      try {
        process.kill(-this.#group, "SIGKILL");
      } catch {
        // Nothing is left of it.
      }
    }
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 10 });
  }

  // The checkout as its links, and the programs that a reader has by then.
  async #furnish(): Promise<void> {
    for (const folder of ["results", "bin", "home"]) await mkdir(join(this.#folder, folder));
    const checkout = ["dist", "node_modules", "proto", "src", "tools", "docs", "package.json"];
    for (const name of checkout) await symlink(join(ROOT, name), join(this.#folder, name));
    await this.#program("stormlock", `exec "${process.execPath}" "${ROOT}/dist/stormlock.js" "$@"`);
    // What installs and builds has been done, and the tests are running.
    await this.#program(
      "npm",
      `case "$*" in
         "run demo") exec "${process.execPath}" "${ROOT}/tools/demo.js" ;;
         test | ci | "run build") ;;
         *) echo "npm $*: not known to this test" >&2; exit 1 ;;
       esac`,
    );
  }

  async #program(name: string, script: string): Promise<void> {
    const path = join(this.#folder, "bin", name);
    await writeFile(path, `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o755);
  }

  async #prepare(block: Block): Promise<void> {
    const { language, line } = block;
    const text = block.text.replaceAll(ADDRESS, this.#address);
    const name = `block-${String(line)}`;
    const step = { line, what: language, mustSucceed: true };
    switch (language) {
      case "sh":
        this.#steps.push({ ...step, script: `set -e\n${text}\nset +e` });
        break;
      case "console":
        this.#transcript(block);
        break;
      case "ts":
        await writeFile(join(this.#folder, `${name}.ts`), text);
        await bundle(join(this.#folder, `${name}.ts`), join(this.#folder, `${name}.mjs`));
        this.#steps.push({ ...step, script: `node ${name}.mjs` });
        break;
      case "toml":
        await writeFile(join(this.#folder, `${name}.toml`), text);
        this.#steps.push({ ...step, script: `stormlock config check -c ${name}.toml` });
        break;
    }
  }

  #transcript(block: Block): void {
    const exchanges = exchangesOf(block);
    for (const [at, { command, printed }] of exchanges.entries()) {
      const isExplained = exchanges[at + 1]?.command === "echo $?";
      this.#steps.push({
        ...{ line: block.line, what: `$ ${command}`, expected: printed },
        script: command.replaceAll(ADDRESS, this.#address),
        mustSucceed: !isExplained,
      });
    }
  }

  // One script, so that variables and background jobs live from one block to the next.
  async #type(): Promise<string> {
    const lines = this.#steps.map(
      ({ script }, at) =>
        `(exit "$last"); {\n${script}\n} > results/${String(at)}.out 2>&1\nlast=$?; set +e\n` +
        `echo "$last" > results/${String(at)}.code\n${isServing(script) ? this.#untilUp() : ""}`,
    );
    const script = `trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\nlast=0\n${lines.join("\n")}`;
    await writeFile(join(this.#folder, "script"), script);
    const child = spawn("bash", ["script"], {
      cwd: this.#folder,
      detached: true,
      env: this.#env(),
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#group = child.pid;
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const overdue = setTimeout(() => child.kill("SIGKILL"), MOST_MS);
    await new Promise((ended) => child.once("exit", ended));
    clearTimeout(overdue);
    return stderr;
  }

  #untilUp(): string {
    const [host, port] = this.#address.split(":");
    return `for _ in $(seq 200); do (: > /dev/tcp/${host ?? ""}/${port ?? ""}) 2>/dev/null && break; sleep 0.05; done\n`;
  }

  #env(): Record<string, string> {
    const home = join(this.#folder, "home");
    return {
      PATH: `${join(this.#folder, "bin")}:${dirname(process.execPath)}:${process.env["PATH"] ?? ""}`,
      HOME: home,
      TMPDIR: tmpdir(),
      LANG: "C.UTF-8",
      STORMLOCK_LISTEN: this.#address,
      no_proxy: "127.0.0.1",
    };
  }

  async #resultOf(at: number, kind: "code" | "out"): Promise<string | undefined> {
    const path = join(this.#folder, "results", `${String(at)}.${kind}`);
    return await readFile(path, "utf8").catch(() => undefined);
  }

  // As the page would have it, whose reader is Ann at her laptop.
  #asPrinted(text: string): string {
    return text
      .replaceAll(this.#address, ADDRESS)
      .replaceAll(join(this.#folder, "home"), "/home/ann")
      .replaceAll(`${userInfo().username}@${hostname()}`, "ann@laptop");
  }
}

function isServing(script: string): boolean {
  return script.includes("stormlock serve");
}

/** Makes JavaScript for the oldest Node that is supported. */
async function bundle(from: string, to: string): Promise<void> {
  const bundling = await rolldown({
    input: from,
    platform: "node",
    external: [/^node:/u, /^stormlock/u],
    transform: { target: "node20.19" },
  });
  await bundling.write({ file: to, format: "esm" });
  await bundling.close();
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}
