// The driver, set up so that it does nothing behind our back: it neither queues nor repeats
// what it was told, and a connection that has ended stays ended.

import { readFile } from "node:fs/promises";
import type { Redis, RedisOptions } from "ioredis";
import type { Address, Endpoint } from "./address.js";
import { isNoScript, StoreFault } from "./faults.js";
import type { Script } from "./scripts.js";
import type { RedisSettings } from "./settings.js";

/** A connection. */
export type Client = Redis;

/** What is needed to connect, wherever to. */
export interface Access {
  readonly address: Address;
  readonly settings: RedisSettings;
}

const CLOSES_WITHIN_MS = 100;

/**
 * Connects to one server, or to the one that the sentinels name. Throws what the driver throws,
 * the reason rather than the consequence, or StoreFault.
 */
export async function connect(
  { address, settings }: Access,
  endpoint: Endpoint,
  { withinMs, signal }: { readonly withinMs: number; readonly signal: AbortSignal },
): Promise<Client> {
  const tls = address.isEncrypted ? await tlsOptions(settings) : undefined;
  const { Redis } = await import("ioredis");
  signal.throwIfAborted();
  const options: RedisOptions & { replyMapping: "legacy" } = {
    ...(address.kind === "sentinel"
      ? sentinelOptions(address, settings, withinMs)
      : endpoint.path === undefined
        ? { host: endpoint.host, port: endpoint.port }
        : { path: endpoint.path }),
    ...(tls === undefined ? {} : { tls, sentinelTLS: tls, enableTLSForSentinelMode: true }),
    ...loginOptions(address, settings),
    db: address.database,
    protocol: 2,
    replyMapping: "legacy",
    lazyConnect: true,
    connectTimeout: withinMs,
    disconnectTimeout: CLOSES_WITHIN_MS,
    disableClientInfo: true,
    // Would ask for a right that nobody needs to have: a server that loads says so anyway.
    enableReadyCheck: false,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  };
  const client = new Redis(options);
  // Not every error ends the attempt: one whose database does not exist goes on in another one.
  let problem: Error | undefined;
  client.on("error", (error: Error) => (problem ??= error));
  const abort = (): void => {
    client.disconnect();
  };
  signal.addEventListener("abort", abort, { once: true });
  try {
    await client.connect();
    signal.throwIfAborted();
    if (problem !== undefined) throw problem;
    return client;
  } catch (error) {
    client.disconnect();
    throw signal.aborted ? signal.reason : (problem ?? error);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Runs a script, which the server may have forgotten. Throws as the driver does. */
export async function run(
  client: Client,
  script: Script,
  keys: readonly string[],
  args: readonly (string | number | Buffer)[],
): Promise<unknown> {
  const rest = [keys.length, ...keys, ...args];
  try {
    return await client.call("evalsha", [script.sha, ...rest]);
  } catch (error) {
    if (!isNoScript(error)) throw error;
    return await client.call("eval", [script.text, ...rest]);
  }
}

function loginOptions(address: Address, settings: RedisSettings): RedisOptions {
  const user = settings.user ?? address.user;
  const password = settings.password ?? address.password;
  return {
    ...(user === undefined ? {} : { username: user }),
    ...(password === undefined ? {} : { password }),
  };
}

function sentinelOptions(
  { endpoints, master }: Address,
  settings: RedisSettings,
  withinMs: number,
): RedisOptions {
  const { sentinel_user: user, sentinel_password: password } = settings;
  return {
    sentinels: endpoints.map(({ host, port }) => ({ host, port })),
    name: master,
    role: "master",
    sentinelRetryStrategy: () => null,
    // A sentinel that does not answer must leave time to ask the next.
    sentinelCommandTimeout: Math.ceil(withinMs / (endpoints.length + 1)),
    updateSentinels: false,
    ...(user === undefined ? {} : { sentinelUsername: user }),
    ...(password === undefined ? {} : { sentinelPassword: password }),
  };
}

// Read for every connection, so that a renewed certificate is taken up without a restart.
async function tlsOptions({ ca, cert, key }: RedisSettings): Promise<Record<string, Buffer>> {
  const options: Record<string, Buffer> = {};
  for (const [name, path] of Object.entries({ ca, cert, key })) {
    if (path === undefined) continue;
    try {
      options[name] = await readFile(path);
    } catch (error) {
      const reason = (error as NodeJS.ErrnoException).code ?? "unreadable";
      throw new StoreFault(
        "file",
        `${name} ${path} cannot be read (${reason}): correct its path or its rights`,
      );
    }
  }
  return options;
}
