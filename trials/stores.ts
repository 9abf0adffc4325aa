import { join } from "node:path";
import { EtcdServer } from "../test/support/servers/etcd.js";
import { PostgresqlServer } from "../test/support/servers/postgresql.js";
import { RedisServer } from "../test/support/servers/redis.js";
import { ConsulServer } from "./consul-server.js";

export const STORE_NAMES = ["embedded", "postgresql", "redis", "etcd", "consul"] as const;
export type StoreName = (typeof STORE_NAMES)[number];

/** A store that runs for real. */
export interface Store extends AsyncDisposable {
  /** The keys of its section in a configuration. */
  readonly settings: string;
  /** Where it listens; nothing for a file. */
  readonly address: string | undefined;
  /** Nobody gets an answer from it any more, nor an end, until `goOn`. */
  freeze(): Promise<void> | void;
  goOn(): void;
}

/** Starts one. `folder` is where the embedded store's file goes. */
export async function openStore(name: StoreName, folder: string): Promise<Store> {
  switch (name) {
    case "embedded":
      return openEmbedded(folder);
    case "postgresql":
      return await openPostgresql();
    case "redis":
      return await openRedis();
    case "etcd":
      return await openEtcd();
    case "consul":
      return await openConsul(folder);
  }
}

interface Sqlite {
  exec(sql: string): void;
  close(): void;
}

// It has no server that could be stopped. What comes closest is another process that stays
// within a transaction: nobody else writes meanwhile.
function openEmbedded(folder: string): Store {
  const path = join(folder, "locks.db");
  let blocker: Sqlite | undefined;
  return {
    settings: `type = "sqlite"\npath = ${JSON.stringify(path)}`,
    address: undefined,
    async freeze() {
      const { DatabaseSync } = (await import("@photostructure/sqlite")) as unknown as {
        DatabaseSync: new (path: string, options: { timeout: number }) => Sqlite;
      };
      blocker = new DatabaseSync(path, { timeout: 1000 });
      blocker.exec("BEGIN IMMEDIATE");
    },
    goOn() {
      blocker?.exec("ROLLBACK");
      blocker?.close();
      blocker = undefined;
    },
    [Symbol.asyncDispose]: () => Promise.resolve(blocker?.close()),
  };
}

async function openPostgresql(): Promise<Store> {
  const server = await PostgresqlServer.start();
  return {
    settings: `type = "postgresql"\nconnection = ${JSON.stringify(server.url())}`,
    address: `127.0.0.1:${String(server.port)}`,
    freeze: () => {
      server.freeze();
    },
    goOn: () => {
      server.thaw();
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function openRedis(): Promise<Store> {
  const server = await RedisServer.start({ isDurable: true });
  return {
    settings: `type = "redis"\nurl = ${JSON.stringify(server.url)}`,
    address: server.address,
    freeze: () => {
      server.freeze();
    },
    goOn: () => {
      server.goOn();
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function openEtcd(): Promise<Store> {
  const server = await EtcdServer.start();
  return thawing(server, `type = "etcd"\nhosts = [${JSON.stringify(server.address)}]`);
}

// Our daemons know no such store.
async function openConsul(folder: string): Promise<Store> {
  return thawing(await ConsulServer.start(folder), "");
}

interface Thawing extends AsyncDisposable {
  readonly address: string;
  freeze(): void;
  thaw(): void;
}

function thawing(server: Thawing, settings: string): Store {
  return {
    ...{ settings, address: server.address },
    freeze: () => {
      server.freeze();
    },
    goOn: () => {
      server.thaw();
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
