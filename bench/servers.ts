// Who is measured: each a server of its own process, started before the first round and stopped
// after the last.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "smol-toml";
import type { Store, StoreKind } from "../test/support/stores.js";

const READY_WITHIN_MS = 20_000;
const STOPPED_WITHIN_MS = 12_000;

/** A server under load. */
export interface Contender extends AsyncDisposable {
  /** What the table calls it. */
  readonly name: string;
  readonly address: string;
  readonly pid: number;
  /** What is under it, to be measured by itself. */
  readonly store?: {
    readonly type: string;
    readonly settings: Readonly<Record<string, string>>;
  };
}

/** A server of Node's that says on stderr where it listens. */
export class Server implements AsyncDisposable {
  readonly address: string;
  readonly pid: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, address: string) {
    this.#child = child;
    this.address = address;
    this.pid = child.pid ?? NaN;
  }

  static async start(
    argv: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Server> {
    const child = spawn(process.execPath, argv, {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, ...env },
    });
    const address = await new Promise<string>((resolve, reject) => {
      let said = "";
      const fail = (): void => {
        child.kill("SIGKILL");
        reject(new Error(`${argv.join(" ")} does not start: ${said}`));
      };
      const overdue = setTimeout(fail, READY_WITHIN_MS);
      child.once("exit", fail);
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        // Read on for as long as it lives: a full pipe would stop it.
        if (said.length < 10_000) said += text;
        const found = /listening on ([^\s",]+)/u.exec(said)?.[1];
        if (found === undefined) return;
        clearTimeout(overdue);
        child.off("exit", fail);
        resolve(found);
      });
    });
    return new Server(child, address);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    const overdue = setTimeout(() => this.#child.kill("SIGKILL"), STOPPED_WITHIN_MS);
    await ended;
    clearTimeout(overdue);
  }
}

/** gRPC, and nothing under it. */
export async function startFloor(program: string): Promise<Contender> {
  const server = await Server.start([program]);
  return {
    name: "floor",
    address: server.address,
    pid: server.pid,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/**
 * The built daemon over a store of its own.
 * @param args more arguments of `stormlock serve`
 */
export async function startDaemon(
  kind: StoreKind,
  args: readonly string[] = [],
): Promise<Contender> {
  const daemons = await startDaemons(kind, 1, args);
  const [first] = daemons.all;
  if (first === undefined) throw new Error("no daemon was asked for");
  return { ...first, [Symbol.asyncDispose]: () => daemons[Symbol.asyncDispose]() };
}

/** Several daemons over one store, stopped together. */
export interface Daemons extends AsyncDisposable {
  readonly all: readonly Omit<Contender, typeof Symbol.asyncDispose>[];
}

/**
 * Built daemons over one store of their own.
 * @param args more arguments of `stormlock serve`
 */
export async function startDaemons(
  kind: StoreKind,
  count: number,
  args: readonly string[] = [],
): Promise<Daemons> {
  const folder = await mkdtemp(join(tmpdir(), "stormlock-bench-"));
  let store: Store | undefined;
  const servers: Server[] = [];
  const stop = async (): Promise<void> => {
    for (const server of servers) await server[Symbol.asyncDispose]();
    await store?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    store = await kind.start();
    const file = join(folder, "bench.toml");
    await writeFile(file, store.toml);
    const argv = ["dist/stormlock.cjs", "serve", "--listen", "127.0.0.1:0", "-c", file, ...args];
    for (let n = 0; n < count; n++) servers.push(await Server.start(argv, store.env));
    const settings = settingsOf(store);
    return {
      all: servers.map(({ address, pid }) => ({
        ...{ name: kind.type, address, pid, store: { type: kind.type, settings } },
      })),
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

// What the configuration says of the backend, its variables put in.
function settingsOf({ toml, env }: Store): Record<string, string> {
  const { backend } = parse(toml) as { backend: { main: Record<string, unknown> } };
  return Object.fromEntries(
    Object.entries(backend.main).map(([key, value]) => [
      key,
      String(value).replaceAll(/\$\{(\w+)\}/gu, (_, name: string) => env[name] ?? ""),
    ]),
  );
}
