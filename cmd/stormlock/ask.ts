// From what was typed to somebody who can be asked: daemons over the network, or, where none is
// configured, the backend itself in this process, behind the same service.

import { backendTypes, findBackendType } from "../../src/backends/registry.js";
import { loadConfig, principalFor, type Config, type Flags } from "../../src/config/index.js";
import { LockError } from "../../src/lock/errors.js";
import { checkResource } from "../../src/lock/limits.js";
import type { UnaryClient } from "../../src/rpc/unary-client.js";
import { askDaemon } from "./ask-daemon.js";
import type { Scene, Words } from "./command.js";
import { homeOf } from "./home.js";
import type { Output } from "./output.js";

/** How long a command goes on asking when nobody answers. */
const PATIENCE_MS = 3000;

/** Somebody who can be asked. */
export interface Asked<Client = UnaryClient> {
  readonly client: Client;
  /** Who asks for a resource. */
  readonly principalFor: (resource: string) => string;
  /** The ttl to ask for when the command line does not say. */
  readonly defaultTtlMs: number | undefined;
}

/** Makes a client for a configuration, and for the only resource that it will be asked about. */
export type OpenClient<Client> = (
  config: Config,
  resource: string | undefined,
  output: Output,
  patienceMs: number,
) => Promise<Client>;

/**
 * Asks, and closes what was opened for it.
 * @param resource the only one that will be asked about; undefined for any
 */
export async function askLocks(
  words: Words,
  scene: Scene,
  resource: string | undefined,
  ask: (asked: Asked) => Promise<number | NodeJS.Signals>,
): Promise<number | NodeJS.Signals> {
  const isWaiting = (words.durationMs("wait") ?? 0) > 0;
  const open: OpenClient<UnaryClient> = async (config, only, output, patienceMs) => {
    if (config.client.servers.length > 0) return await askDaemon(config.client, patienceMs);
    const { askHere } = await import("./ask-here.js");
    return await askHere(config, only, output, { patienceMs, isBrief: !isWaiting });
  };
  return await askWith(open, words, scene, resource, ask);
}

/** As askLocks, with a client of another kind. */
export async function askWith<Client extends AsyncDisposable>(
  open: OpenClient<Client>,
  words: Words,
  scene: Scene,
  resource: string | undefined,
  ask: (asked: Asked<Client>) => Promise<number | NodeJS.Signals>,
): Promise<number | NodeJS.Signals> {
  // Before a store is made for a name that none can have.
  if (resource !== undefined) checkResource(resource);
  const config = await configOf(words, scene, clientFlags(words), "client");
  for (const warning of config.warnings) scene.output.note(warning);
  const { servers, ttlMs: defaultTtlMs } = config.client;
  await using client = await open(config, resource, scene.output, PATIENCE_MS);
  try {
    return await ask({
      client,
      defaultTtlMs,
      principalFor: (name) => principalFor(config, name),
    });
  } catch (thrown) {
    throw servers.length > 1 ? namingAll(thrown, servers) : thrown;
  }
}

/** The configuration as the command line, the environment and the file have it. */
export async function configOf(
  words: Words,
  { env }: Scene,
  flags: Flags,
  purpose: "client" | "daemon" | "check",
): Promise<Config> {
  return await loadConfig({
    configFlag: words.value("config"),
    flags,
    env,
    home: homeOf(env),
    cwd: process.cwd(),
    uid: process.getuid?.(),
    purpose,
    backendKeys: async (type, folder) => {
      const found = await findBackendType(type, folder);
      return found.kind === "known"
        ? { kind: "known", schema: await found.type.settings() }
        : found;
    },
    backendTypes: Object.keys(backendTypes),
  });
}

export function clientFlags(words: Words): Flags {
  return {
    ...(words.has("server") ? { server: words.values("server") } : {}),
    principal: words.value("principal"),
    ...(words.has("tls") ? { tls: true } : {}),
    ca: words.value("ca"),
    cert: words.value("cert"),
    key: words.value("key"),
  };
}

// Every attempt's error names the address it was for; the last one's is not the whole story.
function namingAll(thrown: unknown, servers: readonly string[]): unknown {
  if (!(thrown instanceof LockError) || thrown.isDefinite || thrown.kind === "internal")
    return thrown;
  return new LockError(
    thrown.kind,
    `no definite answer from any of ${servers.join(", ")}; at the end: ${thrown.message}`,
    { cause: thrown },
  );
}
