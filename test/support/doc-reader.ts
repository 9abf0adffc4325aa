// Types what a page shows, in a shell, a home and a copy of the checkout of its own.

import { spawn } from "node:child_process";
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { hostname, tmpdir, userInfo } from "node:os";
import { dirname, join, resolve } from "node:path";
import { rolldown } from "rolldown";
import { exchangesOf, type Block } from "./doc-page.js";
import { freePort } from "./free-port.js";

const ROOT = resolve(import.meta.dirname, "../..");
const MOST_MS = 90_000;

// The address that the pages use. Here every page has one of its own.
const ADDRESS = "127.0.0.1:7420";

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
export class Reader implements AsyncDisposable {
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
    await this.#program(
      "stormlock",
      `exec "${process.execPath}" "${ROOT}/dist/stormlock.cjs" "$@"`,
    );
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
