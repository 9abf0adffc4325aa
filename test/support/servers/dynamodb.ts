// DynamoDB Local: the real thing's own small brother, from Maven Central.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, open, readFile, rename, rm } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { freePort } from "../free-port.js";
import { freeze } from "../freeze.js";
import { skipped } from "../ci.js";

// Not beside this module: the bench bundles it into another place.
const HERE = resolve("test/support/servers/dynamodb");
const FETCH_WITHIN_MS = 300_000;
const READY_WITHIN_MS = 30_000;

/** Why there is no server for the tests, in one line; undefined when there is one. */
export async function missingDynamodb(): Promise<string | undefined> {
  const why = await prepare().then(
    () => undefined,
    (thrown: unknown) => (thrown instanceof Error ? thrown.message : String(thrown)),
  );
  return why === undefined ? undefined : skipped(why);
}

/** A server on a free loopback port, stopped by its process id. */
export class DynamodbServer implements AsyncDisposable {
  readonly port: number;
  /** Where its tables are kept between two runs; without it they are in memory. */
  readonly #dbPath: string | undefined;
  readonly #home: string;
  /** Where it unpacks a library at each start, which it leaves behind when it is killed. */
  readonly #unpacked: string;
  #child: ChildProcess | undefined;

  private constructor(port: number, home: string, unpacked: string, dbPath: string | undefined) {
    this.port = port;
    this.#home = home;
    this.#unpacked = unpacked;
    this.#dbPath = dbPath;
  }

  static async start(dbPath?: string): Promise<DynamodbServer> {
    const home = await prepare();
    const unpacked = await mkdtemp(join(tmpdir(), "stormlock-dynamodb-"));
    const server = new DynamodbServer(await freePort(), home, unpacked, dbPath);
    await server.run();
    return server;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${String(this.port)}`;
  }

  /** Starts it, again on the same port when it was stopped. */
  async run(): Promise<void> {
    const lib = join(this.#home, "lib");
    const keep = this.#dbPath === undefined ? ["-inMemory"] : ["-dbPath", this.#dbPath];
    // Before others, where that is allowed: it is slow enough when it has the machine to itself.
    const child = spawn(
      "nice",
      [
        ...["-n", "-10", "java"],
        ...["-Xmx384m", "-XX:TieredStopAtLevel=1", `-Djava.library.path=${lib}`],
        `-Djava.io.tmpdir=${this.#unpacked}`,
        ...["-cp", `${join(lib, "*")}:${this.#home}`, "Launcher"],
        ...["-disableTelemetry", "-port", String(this.port), ...keep],
      ],
      { stdio: "ignore" },
    );
    this.#child = child;
    for (let waitedMs = 0; !(await this.#listens()); waitedMs += 50) {
      if (child.exitCode !== null || waitedMs > READY_WITHIN_MS) {
        await this.stop();
        throw new Error("DynamoDB Local did not start");
      }
      await pause(50);
    }
  }

  /** Ends it at once, as a crash would. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  freeze(): void {
    if (this.#child?.pid !== undefined) freeze(this.#child.pid);
  }

  thaw(): void {
    this.#child?.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.#unpacked, { recursive: true, force: true });
  }

  #listens(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = createConnection({ host: "127.0.0.1", port: this.port });
      socket.once("connect", () => {
        socket.destroy();
        resolve(true);
      });
      socket.once("error", () => {
        resolve(false);
      });
    });
  }
}

// Fetched and compiled once per machine and user, in a folder outside of the project. Several
// tests may come at once: one works, the others wait for what it leaves.
let preparing: Promise<string> | undefined;

function prepare(): Promise<string> {
  preparing ??= prepareOnce();
  return preparing;
}

async function prepareOnce(): Promise<string> {
  for (const tool of ["java", "javac"]) {
    if (spawnSync(tool, ["-version"]).status !== 0) {
      throw new Error(`DynamoDB Local needs ${tool} (a JDK of version 17 or later), not found`);
    }
  }
  const files = ["pom.xml", "Launcher.java"].map((name) => readFileSync(join(HERE, name)));
  const hash = createHash("sha256").update(Buffer.concat(files)).digest("hex").slice(0, 12);
  const home = join(tmpdir(), `stormlock-dynamodb-local-${String(userInfo().uid)}-${hash}`);
  for (let waitedMs = 0; !existsSync(home); waitedMs += 200) {
    if (waitedMs > FETCH_WITHIN_MS) throw new Error(`${home} has not become ready`);
    if (await lock(`${home}.lock`)) {
      try {
        if (!existsSync(home)) await fetchInto(home);
      } finally {
        await rm(`${home}.lock`, { force: true });
      }
    } else {
      await pause(200);
    }
  }
  return home;
}

async function lock(path: string): Promise<boolean> {
  try {
    const file = await open(path, "wx");
    await file.writeFile(String(process.pid));
    await file.close();
    return true;
  } catch {
    // Left behind by somebody who was killed?
    const pid = Number(await readFile(path, "utf8").catch(() => "0"));
    if (pid > 0 && !isAlive(pid)) await rm(path, { force: true });
    return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function fetchInto(home: string): Promise<void> {
  const work = await mkdtemp(`${home}-`);
  try {
    const lib = join(work, "lib");
    await mkdir(lib);
    const goal = "dependency:copy-dependencies";
    await run("mvn", "-q", "-B", "-f", join(HERE, "pom.xml"), goal, `-DoutputDirectory=${lib}`);
    await run("javac", "-cp", join(lib, "*"), "-d", work, join(HERE, "Launcher.java"));
    await rename(work, home);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function run(command: string, ...args: readonly string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  }
  const overdue = setTimeout(() => child.kill("SIGKILL"), FETCH_WITHIN_MS);
  const code = await new Promise<unknown>((resolve) => {
    child.once("error", resolve);
    child.once("close", resolve);
  });
  clearTimeout(overdue);
  if (code !== 0) {
    const said = output.trim().split("\n")[0] ?? "";
    throw new Error(
      `DynamoDB Local could not be made ready: ${command} ended with ${String(code)}: ${said}`,
    );
  }
}
