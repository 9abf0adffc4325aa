// What a server must be before it is asked anything: checked on every connection, since a name
// may lead to another server tomorrow.

import type { Address } from "./address.js";
import { run, type Client } from "./driver.js";
import { isForbidden, StoreFault } from "./faults.js";
import type { Keys } from "./keys.js";
import { FORMAT } from "./scripts.js";

/** What is stored is of this format. */
const OUR_FORMAT = 1;
const LEAST_VERSION = 6;

export interface Expectations {
  readonly kind: Address["kind"];
  readonly keys: Keys;
  readonly allowsEviction: boolean;
}

/** Throws StoreFault, or as the driver does: MOVED where another node has the keys. */
export async function inspect(client: Client, expected: Expectations): Promise<void> {
  const info = await infoOf(client);
  if (info !== undefined) {
    inspectVersion(info);
    if (expected.kind !== "cluster" && info.get("cluster_enabled") === "1") {
      throw new StoreFault("cluster");
    }
    if (expected.kind !== "cluster" && info.get("role") === "slave") {
      const host = info.get("master_host") ?? "";
      const port = info.get("master_port") ?? "";
      throw new StoreFault("replica", host === "" ? "" : ` of ${host}:${port}`);
    }
  }
  // A node of a cluster that does not have the keys says here who has.
  inspectFormat(await run(client, FORMAT, [expected.keys.state], []));
  if (expected.allowsEviction) return;
  const policy = info?.get("maxmemory_policy") ?? (await configured(client, "maxmemory-policy"));
  if (policy === undefined) throw new StoreFault("eviction-unknown");
  if (policy !== "noeviction") throw new StoreFault("eviction", policy);
}

/** Throws StoreFault when a newer Stormlock has been at work. */
export function inspectFormat(stored: unknown): void {
  if (Number(stored) > OUR_FORMAT) throw new StoreFault("newer", String(stored));
}

function inspectVersion(info: ReadonlyMap<string, string>): void {
  const version = info.get("redis_version");
  if (version !== undefined && Number.parseInt(version, 10) < LEAST_VERSION) {
    throw new StoreFault("old", version);
  }
}

async function infoOf(client: Client): Promise<ReadonlyMap<string, string> | undefined> {
  try {
    const lines = (await client.info()).split("\r\n");
    return new Map(
      lines.map((line) => [line.split(":", 1)[0] ?? "", line.slice(line.indexOf(":") + 1)]),
    );
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}

/** What of a server's settings makes of a store less than it may seem. */
export async function durabilityWarnings(client: Client, place: string): Promise<string[]> {
  const info = await infoOf(client);
  const hasLog =
    info?.get("aof_enabled") ?? asFlag(await configured(client, "appendonly")) ?? "unknown";
  const weaker = "so the guarantee is best effort + fencing, not single-node durable";
  if (hasLog === "0") {
    return [
      `redis at ${place} writes no append-only file, ${weaker}: a crash forgets leases; set appendonly yes and appendfsync always, or let what is protected check tokens`,
    ];
  }
  const synced = await configured(client, "appendfsync");
  if (synced === undefined || synced === "always") return []; // Few may ask: then it stays unknown.
  return [
    `redis at ${place} has appendfsync ${synced}, ${weaker}: a crash forgets the newest leases; set appendfsync always, or let what is protected check tokens`,
  ];
}

function asFlag(setting: string | undefined): string | undefined {
  return setting === undefined ? undefined : setting === "yes" ? "1" : "0";
}

async function configured(client: Client, setting: string): Promise<string | undefined> {
  try {
    const answer = await client.config("GET", setting);
    return Array.isArray(answer) && typeof answer[1] === "string" ? answer[1] : undefined;
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}
