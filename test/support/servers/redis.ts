// A real Redis for a test: on a free port of loopback, with data that are thrown away.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { freePort } from "../free-port.js";
import { freeze } from "../freeze.js";
import { isCi, skipped } from "../ci.js";

const PROGRAM = "redis-server";
const READY_WITHIN_MS = 10_000;

const isInstalled = spawnSync(PROGRAM, ["--version"], { stdio: "ignore" }).status === 0;

/** Whether tests that need a Redis are skipped: never in CI, where they fail without one. */
export const isWithoutRedis: boolean = !isInstalled && !isCi;

/** Why there is no server for the tests, in one line; undefined when there is one. */
export function missingRedis(): string | undefined {
  if (isInstalled) return undefined;
  return skipped(`${PROGRAM} is not installed (Debian: redis-server)`);
}

export interface RedisServerOptions {
  /** Lines of its configuration, beside those that make it a test's. */
  readonly config?: readonly string[];
  /** Keep the data on disk, each write before it is answered, so that they outlive the server. */
  readonly isDurable?: boolean;
  /** A sentinel instead of a server. */
  readonly isSentinel?: boolean;
}

/** A server that runs. */
export class RedisServer implements AsyncDisposable {
  readonly port: number;
  readonly directory: string;
  readonly #isSentinel: boolean;
  #process: ChildProcess | undefined;

  private constructor(port: number, directory: string, isSentinel: boolean) {
    this.port = port;
    this.directory = directory;
    this.#isSentinel = isSentinel;
  }

  /** Starts one, and waits until it answers. */
  static async start({
    config = [],
    isDurable = false,
    isSentinel = false,
  }: RedisServerOptions = {}): Promise<RedisServer> {
    const port = await freePort();
    const directory = await mkdtemp(join(tmpdir(), "stormlock-redis-"));
    const server = new RedisServer(port, directory, isSentinel);
    const storage = isDurable ? ["appendonly yes", "appendfsync always"] : ["appendonly no"];
    const lines = [
      "bind 127.0.0.1",
      ...(config.some((line) => line.startsWith("port ")) ? [] : [`port ${String(port)}`]),
      `dir ${directory}`,
      "logfile server.log",
      "daemonize no",
      ...(isSentinel ? [] : ['save ""', ...storage]),
      ...config.map((line) => line.replaceAll("%PORT%", String(port))),
    ];
    await writeFile(server.#configPath, `${lines.join("\n")}\n`);
    await server.start();
    return server;
  }

  get address(): string {
    return `127.0.0.1:${String(this.port)}`;
  }

  get url(): string {
    return `redis://${this.address}`;
  }

  get #configPath(): string {
    return join(this.directory, "redis.conf");
  }

  /** Starts it again, on the same port and data. */
  async start(): Promise<void> {
    const args = [this.#configPath, ...(this.#isSentinel ? ["--sentinel"] : [])];
    const child = spawn(PROGRAM, args, { stdio: "ignore" });
    this.#process = child;
    child.once("error", () => undefined);
    for (let waitedMs = 0; !(await isReady(this.port)); waitedMs += 10) {
      if (child.exitCode !== null || child.pid === undefined || waitedMs > READY_WITHIN_MS) {
        throw new Error(`redis-server does not start: ${await this.log()}`);
      }
      await pause(10);
    }
  }

  /** Ends it at once, as a crash does, or in order. */
  async stop(signal: "SIGKILL" | "SIGTERM" = "SIGTERM"): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGCONT");
    child.kill(signal);
    await ended;
  }

  /** It neither answers nor ends its connections, until it goes on. */
  freeze(): void {
    if (this.#process?.pid !== undefined) freeze(this.#process.pid);
  }

  goOn(): void {
    this.#process?.kill("SIGCONT");
  }

  /** Changes its configuration for the next start. */
  async configure(line: string): Promise<void> {
    await appendFile(this.#configPath, `${line}\n`);
  }

  async log(): Promise<string> {
    return readFile(join(this.directory, "server.log"), "utf8").catch(() => "no log");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
    await rm(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

// It listens while it still reads its data, and refuses all questions until it has. One that
// speaks TLS alone says nothing to this one, and closes.
function isReady(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port });
    let isThere = false;
    socket.once("connect", () => {
      isThere = true;
      socket.write("PING\r\n");
    });
    socket.once("data", (answer) => {
      isThere = !answer.toString().startsWith("-LOADING");
      socket.destroy();
    });
    socket.on("error", () => undefined);
    socket.once("close", () => {
      resolve(isThere);
    });
  });
}
