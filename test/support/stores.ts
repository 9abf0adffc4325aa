// The five stores, each with what a test needs to play the same story on all of them: a
// throw-away one, what a configuration says of it, and ways to stop it.

import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTable } from "../../src/backends/dynamodb/backend.js";
import { tableSql } from "../../src/backends/postgresql/statements.js";
import { systemClock } from "../../src/system-clock.js";
import { DynamodbServer, missingDynamodb } from "./servers/dynamodb.js";
import { EtcdServer, missingEtcd } from "./servers/etcd.js";
import { missingPostgresql, PostgresqlServer } from "./servers/postgresql.js";
import { missingRedis, RedisServer } from "./servers/redis.js";
import { FileLock } from "./servers/sqlite.js";

export interface StoreKind {
  readonly type: string;
  /** Why there is none on this machine, in one line; in CI that is a failure instead. */
  readonly missing: string | undefined;
  start(): Promise<Store>;
}

/** One that runs, empty and ready for use. */
export interface Store extends AsyncDisposable {
  /** A whole configuration, ours and in the older tool's form. */
  readonly toml: string;
  readonly ini: string;
  /** What the configuration takes from the environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Stops it in its tracks: it neither answers nor ends its connections. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Ends it at once, as a crash does. */
  end(): Promise<void>;
  /** Starts it again with the data it had. Returns when it answers. */
  again(): Promise<void>;
}

/** All of them, by the name that a configuration gives as `type`. */
export const stores: readonly StoreKind[] = [
  { type: "sqlite", missing: undefined, start: startSqlite },
  { type: "etcd", missing: missingEtcd(), start: startEtcd },
  { type: "redis", missing: missingRedis(), start: startRedis },
  { type: "postgresql", missing: missingPostgresql(), start: startPostgresql },
  { type: "dynamodb", missing: await missingDynamodb(), start: startDynamodb },
];

/** What a test of a store is called; where there is no store it is skipped, and says why. */
export function titleOf({ type, missing }: StoreKind): string {
  return missing === undefined ? type : `${type} (skipped: ${missing})`;
}

const toml = (type: string, ...lines: readonly string[]): string =>
  ["[default]", 'backend = "main"', "", "[backend.main]", `type = "${type}"`, ...lines, ""].join(
    "\n",
  );

const ini = (type: string, ...lines: readonly string[]): string =>
  ["[default]", `backend = ${type}`, "", `[backend.${type}]`, ...lines, ""].join("\n");

async function startSqlite(): Promise<Store> {
  const directory = await mkdtemp(join(tmpdir(), "stormlock-sqlite-"));
  const path = join(directory, "locks.db");
  let lock: FileLock | undefined;
  const stop = async (): Promise<void> => {
    lock ??= await FileLock.take(path);
  };
  return {
    toml: toml("sqlite", `path = "${path}"`),
    ini: ini("sqlite", `path = ${path}`),
    env: {},
    freeze: stop,
    async thaw() {
      await lock?.release();
      lock = undefined;
    },
    end: stop,
    async again() {
      await lock?.kill();
      lock = undefined;
    },
    async [Symbol.asyncDispose]() {
      await lock?.kill();
      await rm(directory, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

async function startEtcd(): Promise<Store> {
  const server = await EtcdServer.start();
  const port = String(server.port);
  return {
    toml: toml("etcd", 'host = "127.0.0.1"', `port = ${port}`, 'prefix = "locks/"'),
    ini: ini("etcd", "host: 127.0.0.1", `port: ${port}`, "prefix: /locks/ini", "timeout: 5"),
    env: {},
    ...freezing(server),
    end: () => server.kill(),
    again: () => server.restart(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function startRedis(): Promise<Store> {
  const server = await RedisServer.start({ isDurable: true });
  return {
    toml: toml("redis", `url = "${server.url}/0"`),
    ini: ini("redis", `url: ${server.url}`),
    env: {},
    ...freezing({
      freeze: () => {
        server.freeze();
      },
      thaw: () => {
        server.goOn();
      },
    }),
    end: () => server.stop("SIGKILL"),
    again: () => server.start(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const ROLE = "locks_role";
const PASSWORD = "a/pass:word";

async function startPostgresql(): Promise<Store> {
  const server = await PostgresqlServer.start();
  await server.run(
    tableSql("stormlock_leases"),
    `CREATE ROLE ${ROLE} LOGIN PASSWORD '${PASSWORD}'`,
    `GRANT SELECT, INSERT, UPDATE, DELETE ON stormlock_leases TO ${ROLE}`,
  );
  const port = String(server.port);
  const words = `host=127.0.0.1 port=${port} dbname=postgres user=${ROLE}`;
  return {
    toml: toml(
      "postgresql",
      `connection = "postgresql://${ROLE}:\${LOCKS_PASSWORD}@127.0.0.1:${port}/postgres"`,
      "create_table = false",
    ),
    ini: ini(
      "postgresql",
      `connection: ${words} password='${PASSWORD}'`,
      "table: stormlock_leases",
    ),
    env: { LOCKS_PASSWORD: encodeURIComponent(PASSWORD) },
    ...freezing(server),
    end: () => server.stop("SIGQUIT"),
    again: () => server.resume(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

// The local server writes every item to the disk by itself, 30 to 90 a second. What outlives the
// process need not outlive the machine here.
const DYNAMODB_FOLDER = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
const ACCESS_KEY = { access_key_id: "stormlock", secret_access_key: "not-much-of-a-secret" };

async function startDynamodb(): Promise<Store> {
  const directory = await mkdtemp(join(DYNAMODB_FOLDER, "stormlock-dynamodb-"));
  const server = await DynamodbServer.start(directory);
  const { endpoint } = server;
  const table = "locks-of-all";
  const region = "eu-west-1";
  const settings = { endpoint, region, table, ...ACCESS_KEY };
  await createTable(settings, { clock: systemClock });
  return {
    toml: toml(
      "dynamodb",
      ...[`endpoint = "${endpoint}"`, `region = "${region}"`, `table = "${table}"`],
      `access_key_id = "${ACCESS_KEY.access_key_id}"`,
      'secret_access_key = "${LOCKS_SECRET}"',
    ),
    ini: ini(
      "dynamodb",
      ...[`endpoint: ${endpoint}`, `region: ${region}`, `table: ${table}`],
      `access_key_id: ${ACCESS_KEY.access_key_id}`,
      `secret_access_key: ${ACCESS_KEY.secret_access_key}`,
    ),
    env: { LOCKS_SECRET: ACCESS_KEY.secret_access_key },
    ...freezing(server),
    end: () => server.stop(),
    async again() {
      await server.run();
      // It listens long before it answers.
      await createTable(settings, { clock: systemClock });
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

function freezing(server: { freeze(): void; thaw(): void }): Pick<Store, "freeze" | "thaw"> {
  return {
    freeze() {
      server.freeze();
      return Promise.resolve();
    },
    thaw() {
      server.thaw();
      return Promise.resolve();
    },
  };
}
