// A PostgreSQL server of a test's own: on a free port of the loopback, with throw-away data.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { existsSync, readdirSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { describe, it } from "vitest";
import { freePort } from "../free-port.js";
import { freeze } from "../freeze.js";
import { isCi, skipped } from "../ci.js";

const DEBIAN = "/usr/lib/postgresql";
const READY_WITHIN_MS = 30_000;

/** The folder of the newest server that is installed. */
function findPrograms(): string | undefined {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN) : [];
  const folders = versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(DEBIAN, version, "bin"));
  const onPath = (process.env["PATH"] ?? "").split(":");
  return [...folders, ...onPath].find((folder) => existsSync(join(folder, "initdb")));
}

const programs = findPrograms();

/** Why there is no server for the tests, in one line; undefined when there is one. */
export function missingPostgresql(): string | undefined {
  if (programs !== undefined) return undefined;
  return skipped("PostgreSQL is not installed (Debian: postgresql)");
}

/** Tests that need the server: skipped, visibly, where it is not installed; in CI they fail. */
export function describeWithPostgresql(name: string, body: () => void): void {
  if (programs !== undefined) {
    describe(name, body);
  } else if (isCi) {
    describe(name, () => {
      it("needs PostgreSQL: install postgresql", () => {
        throw new Error("PostgreSQL is not installed");
      });
    });
  } else {
    describe.skip(`${name} (PostgreSQL is not installed)`, body);
  }
}

export const ADMIN = "postgres";
export const PASSWORD = "pass/word 'of' @tests";

export interface PostgresqlOptions {
  /** Settings of the server, as in postgresql.conf. */
  readonly config?: Readonly<Record<string, string>>;
  /** Files to lay into its data before it starts, by name. */
  readonly files?: Readonly<Record<string, string>>;
}

export class PostgresqlServer implements AsyncDisposable {
  readonly port: number;
  readonly directory: string;
  readonly #config: Readonly<Record<string, string>>;
  #process: ChildProcess | undefined;
  #log = "";

  private constructor(port: number, directory: string, config: Readonly<Record<string, string>>) {
    this.port = port;
    this.directory = directory;
    this.#config = config;
  }

  static async start({
    config = {},
    files = {},
  }: PostgresqlOptions = {}): Promise<PostgresqlServer> {
    if (programs === undefined) throw new Error("PostgreSQL is not installed");
    const directory = await mkdtemp(join(tmpdir(), "stormlock-postgresql-"));
    const { uid, gid } = owner();
    if (uid !== undefined && gid !== undefined) await chown(directory, uid, gid);
    const data = join(directory, "data");
    const passwordFile = join(directory, "password");
    await writeFile(passwordFile, PASSWORD, { mode: 0o644 });
    const made = spawnSync(
      join(programs, "initdb"),
      [
        ...["-D", data, "-U", ADMIN, "-E", "UTF8", "--locale=C", "--no-sync"],
        ...["-A", "scram-sha-256", "--pwfile", passwordFile],
      ],
      { uid, gid, encoding: "utf8" },
    );
    if (made.status !== 0) throw new Error(`initdb failed: ${made.stdout}${made.stderr}`);
    for (const [name, text] of Object.entries(files)) {
      const path = join(data, name);
      await writeFile(path, text, { mode: 0o600 });
      if (uid !== undefined && gid !== undefined) await chown(path, uid, gid);
    }
    const server = new PostgresqlServer(await freePort(), directory, config);
    await server.resume();
    return server;
  }

  get processId(): number {
    return this.#process?.pid ?? 0;
  }

  /** A connection string. */
  url({ user = ADMIN, password = PASSWORD, database = "postgres", port = this.port } = {}): string {
    const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
    return `postgresql://${login}@127.0.0.1:${String(port)}/${database}`;
  }

  /** A plain connection, as the administrator or whom the string names. */
  async connect(url = this.url()): Promise<Client & AsyncDisposable> {
    const client = new Client({ connectionString: url });
    client.on("error", () => undefined);
    await client.connect();
    return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
  }

  /** Runs statements as the administrator. */
  async run(...statements: readonly string[]): Promise<Record<string, unknown>[]> {
    await using client = await this.connect();
    let rows: Record<string, unknown>[] = [];
    for (const statement of statements) {
      rows = (await client.query<Record<string, unknown>>(statement)).rows;
    }
    return rows;
  }

  /** Starts it again after `stop`, with the data that it had. */
  async resume(): Promise<void> {
    if (programs === undefined) throw new Error("PostgreSQL is not installed");
    const config = {
      ...{ listen_addresses: "127.0.0.1", port: String(this.port), unix_socket_directories: "" },
      ...{ fsync: "off", max_connections: "60", shared_buffers: "16MB", ...this.#config },
    };
    const args = Object.entries(config).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
    const child = spawn(join(programs, "postgres"), ["-D", join(this.directory, "data"), ...args], {
      ...owner(),
      stdio: ["ignore", "ignore", "pipe"],
      env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C", TZ: "UTC" },
    });
    this.#process = child;
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#log = (this.#log + text).slice(-20_000);
    });
    for (const startedMs = performance.now(); performance.now() - startedMs < READY_WITHIN_MS;) {
      if (child.exitCode !== null) break;
      try {
        await this.run("SELECT 1");
        return;
      } catch {
        await sleep(20);
      }
    }
    throw new Error(`PostgreSQL did not start: ${this.#log}`);
  }

  /** Ends it as a crash does ("SIGQUIT": at once), or in order ("SIGINT"). Its data stay. */
  async stop(signal: "SIGQUIT" | "SIGINT" = "SIGINT"): Promise<void> {
    const child = this.#process;
    if (child?.exitCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  /** Stops all its processes in their tracks, or lets them go on. */
  freeze(): void {
    this.#eachProcess(freeze);
  }

  thaw(): void {
    this.#eachProcess((pid) => process.kill(pid, "SIGCONT"));
  }

  #eachProcess(act: (pid: number) => void): void {
    const { stdout } = spawnSync("ps", ["-A", "-o", "ppid=,pid="], { encoding: "utf8" });
    const children = stdout
      .split("\n")
      .map((line) => line.trim().split(/\s+/u).map(Number))
      .flatMap(([parent, pid]) => (parent === this.processId && pid !== undefined ? [pid] : []));
    for (const pid of [this.processId, ...children]) {
      try {
        act(pid);
      } catch {
        // Its work was done just now.
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process?.exitCode === null) this.thaw();
    await this.stop("SIGQUIT");
    await rm(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

// The server refuses to run as root: then it runs as the user that Debian made for it.
function owner(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string): number =>
    Number(spawnSync("id", [flag, "postgres"], { encoding: "utf8" }).stdout);
  return { uid: id("-u"), gid: id("-g") };
}
