// Programs of their own for tests that need several processes, or one to be killed. They are
// bundled like the product, with the worker beside them.

import { spawn, type ChildProcess } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { once } from "node:events";
import { build } from "rolldown";
import { temporaryDirectory } from "./temporary.js";

const WORKER = "src/backends/sqlite/worker.ts";

export interface Children extends AsyncDisposable {
  /** Starts one; its arguments are given to it as JSON. */
  start(name: string, input: unknown, options?: StartOptions): ChildProcess;
  /** Runs one to its end. @returns what it printed, as JSON */
  run(name: string, input: unknown, options?: StartOptions): Promise<unknown>;
}

interface StartOptions {
  /** A program that runs the child, e.g. one that takes rights away first. */
  readonly under?: readonly string[];
  readonly ipc?: boolean;
}

/** Bundles these files of test/backends/sqlite/children. All that still run are killed at the end. */
export async function bundleChildren(...names: readonly string[]): Promise<Children> {
  // Inside node_modules, so that packages which are not bundled are found.
  const cache = join(process.cwd(), "node_modules/.cache");
  await mkdir(cache, { recursive: true });
  const directory = await temporaryDirectory(cache);
  await build({
    input: {
      "sqlite-worker": WORKER,
      ...Object.fromEntries(
        names.map((name) => [name, `test/backends/sqlite/children/${name}.ts`]),
      ),
    },
    platform: "node",
    external: [/^node:/, "@photostructure/sqlite"],
    transform: { target: "node20.19" },
    output: { dir: directory.path, format: "esm", chunkFileNames: "[name]-[hash].js" },
    logLevel: "warn",
  });
  const running = new Set<ChildProcess>();

  const start: Children["start"] = (name, input, { under = [], ipc = false } = {}) => {
    const script = join(directory.path, `${basename(name)}.js`);
    const [command = process.execPath, ...args] = under;
    const node = under.length === 0 ? [] : [process.execPath];
    const child = spawn(command, [...args, ...node, script, JSON.stringify(input)], {
      stdio: ["ignore", "pipe", "inherit", ...(ipc ? (["ipc"] as const) : [])],
      serialization: "advanced",
    });
    running.add(child);
    child.once("exit", () => running.delete(child));
    return child;
  };

  return {
    start,
    async run(name, input, options) {
      const child = start(name, input, options);
      let output = "";
      child.stdout?.setEncoding("utf8").on("data", (text: string) => (output += text));
      const [code, signal] = (await once(child, "close")) as [number | null, string | null];
      if (code !== 0) throw new Error(`${name} ended with ${String(code ?? signal)}: ${output}`);
      return JSON.parse(output) as unknown;
    },
    async [Symbol.asyncDispose]() {
      const ends = [...running].map((child) => once(child, "exit"));
      for (const child of running) child.kill("SIGKILL");
      await Promise.all(ends);
      await directory[Symbol.asyncDispose]();
    },
  };
}
