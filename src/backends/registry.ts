// Which kinds of stores there are. Each is loaded when it is opened: some drivers take longer
// to load than a whole command may run.

import type { ZodObject } from "zod";
import type { Backend } from "../lock/backend.js";
import type { Clock } from "../lock/clock.js";
import { LockError } from "../lock/errors.js";
import type { DynamodbSettings } from "./dynamodb/backend.js";
import type { EtcdSettings } from "./etcd/settings.js";
import type { PostgresqlSettings } from "./postgresql/settings.js";
import type { RedisSettings } from "./redis/settings.js";
import type { SqliteSettings } from "./sqlite/backend.js";

/** One kind of store. */
export interface BackendType {
  /** What a configuration may say of it, beside its type. */
  readonly settings: () => Promise<ZodObject>;

  /**
   * Opens one.
   * @param name what the configuration calls it, for messages
   * @param settings as `settings` has accepted them
   * @throws LockError "unavailable" with one line that says what is wrong and what to do
   */
  open(name: string, settings: unknown, deps: { readonly clock: Clock }): Promise<Backend>;
}

/** The known kinds, by the name that a configuration gives as `type`. */
export const backendTypes: Readonly<Record<string, BackendType>> = {
  dynamodb: {
    settings: async () => (await import("./dynamodb/settings.js")).dynamodbSettings(),
    open: async (_name, settings, deps) =>
      (await import("./dynamodb/backend.js")).openDynamodb(settings as DynamodbSettings, deps),
  },
  etcd: {
    settings: async () => (await import("./etcd/settings.js")).etcdSettings(),
    open: async (_name, settings, deps) =>
      (await import("./etcd/backend.js")).openEtcd(settings as EtcdSettings, deps),
  },
  postgresql: {
    settings: async () => (await import("./postgresql/settings.js")).postgresqlSettings(),
    open: async (_name, settings, deps) =>
      (await import("./postgresql/backend.js")).openPostgresql(
        settings as PostgresqlSettings,
        deps,
      ),
  },
  redis: {
    settings: async () => (await import("./redis/settings.js")).redisSettings(),
    open: async (_name, settings, deps) =>
      (await import("./redis/backend.js")).openRedis(settings as RedisSettings, deps),
  },
  sqlite: {
    settings: async () => (await import("./sqlite/settings.js")).sqliteSettings(),
    open: async (_name, settings, deps) =>
      (await import("./sqlite/backend.js")).openSqlite(settings as SqliteSettings, deps),
  },
};

/** @throws LockError "invalid-field" that lists the known types */
export function backendType(type: string): BackendType {
  const found = Object.hasOwn(backendTypes, type) ? backendTypes[type] : undefined;
  if (found !== undefined) return found;
  const known = Object.keys(backendTypes).join(", ");
  throw new LockError("invalid-field", `type ${JSON.stringify(type)} is unknown; known: ${known}`, {
    field: "type",
  });
}
