// Which kinds of stores there are. Each is loaded when it is opened: some drivers take longer
// to load than a whole command may run.

import type { ZodObject } from "zod";
import { LockError } from "../lock/errors.js";
import type { DynamodbSettings } from "./dynamodb/backend.js";
import type { EtcdSettings } from "./etcd/settings.js";
import type { PostgresqlSettings } from "./postgresql/settings.js";
import type { RedisSettings } from "./redis/settings.js";
import type { PlugIn } from "./plug-in/load.js";
import type { SqliteSettings } from "./sqlite/backend.js";
import type { BackendType } from "./type.js";

/** A type with settings that can be asked for. */
interface KnownType extends BackendType {
  readonly settings: () => Promise<ZodObject>;
}

/** The known kinds, by the name that a configuration gives as `type`. */
export const backendTypes: Readonly<Record<string, KnownType>> = {
  dynamodb: {
    settings: async () => (await import("./dynamodb/settings.js")).dynamodbSettings(),
    open: async (_name, settings, deps) =>
      (await import("./dynamodb/backend.js")).openDynamodb(settings as DynamodbSettings, deps),
    setup: async (_name, settings) =>
      (await import("./dynamodb/setup.js")).dynamodbSetup(settings as DynamodbSettings),
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
    setup: async (_name, settings) =>
      (await import("./postgresql/setup.js")).postgresqlSetup(settings as PostgresqlSettings),
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

export type FoundType =
  | { readonly kind: "known"; readonly type: KnownType | PlugIn }
  /** There is none of this name; a package was looked for in these folders. */
  | { readonly kind: "missing"; readonly lookedIn: readonly string[] }
  /** There is such a plug-in, and it cannot be used: why, in one line. */
  | { readonly kind: "unusable"; readonly why: string };

/**
 * Looks for a type: a known one, or a plug-in by its package's name or its module's path.
 * @param folder the configuration file's; undefined where no plug-in may be loaded
 */
export async function findBackendType(type: string, folder?: string): Promise<FoundType> {
  const known = Object.hasOwn(backendTypes, type) ? backendTypes[type] : undefined;
  if (known !== undefined) return { kind: "known", type: known };
  if (folder === undefined) return { kind: "missing", lookedIn: [] };
  const { loadPlugIn } = await import("./plug-in/load.js");
  const loaded = await loadPlugIn(type, folder);
  return loaded.kind === "loaded" ? { kind: "known", type: loaded.type } : loaded;
}

/** @throws LockError "invalid-field" that says why it cannot be used */
export async function backendType(type: string, folder?: string): Promise<BackendType> {
  const found = await findBackendType(type, folder);
  if (found.kind === "known") return found.type;
  const why =
    found.kind === "unusable" ? found.why : `known: ${Object.keys(backendTypes).join(", ")}`;
  throw new LockError("invalid-field", `type ${JSON.stringify(type)} cannot be used; ${why}`, {
    field: "type",
  });
}
