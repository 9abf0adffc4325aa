// Whether a cluster can be used: asked before it is, and now and then.

import type { Cluster } from "./cluster.js";
import { EtcdFault, placeOf } from "./faults.js";
import type { Keys } from "./keys.js";
import type { Limit } from "./limit.js";
import type { EtcdAccess } from "./settings.js";

// Transactions inside transactions came with 3.3, answers about leases that can be relied on
// later: nothing older than this was ever tried.
const OLDEST = [3, 4, 0];

// The first of their lines without known faults in leases and access control.
const SOUND = [
  [3, 5, 28],
  [3, 6, 9],
] as const;

/**
 * Looks at the version, reads, and really writes: nothing less tells of a role that may not, of a
 * cluster without a majority, or of one that is full.
 * @returns what should be changed although it works, one line each
 * @throws EtcdFault
 */
export async function inspect(
  cluster: Cluster,
  keys: Keys,
  access: EtcdAccess,
  limit: Limit,
): Promise<readonly string[]> {
  const range = { ...keys.heldRange(""), limit: 1, keys_only: true };
  const put = { key: keys.check, value: Buffer.alloc(0) };
  const success = [{ request_range: range }, { request_put: put }];
  const [version] = await Promise.all([
    versionOf(cluster, limit),
    cluster.ask("KV", "txn", { success }, limit),
  ]);
  const numbers = version?.match(/[0-9]+/gu)?.map(Number);
  if (numbers !== undefined && isBefore(numbers, OLDEST)) {
    throw new EtcdFault(
      "refused",
      `version ${version ?? ""} is too old: 3.4 is the oldest that will do`,
    );
  }
  return [...versionWarnings(numbers, access), ...loginWarnings(access)];
}

// Some roles may not ask: then it stays unknown.
async function versionOf(cluster: Cluster, limit: Limit): Promise<string | undefined> {
  try {
    return (await cluster.ask("Maintenance", "status", {}, limit)).version;
  } catch (fault) {
    if (fault instanceof EtcdFault && fault.message.includes("permission denied")) return undefined;
    throw fault;
  }
}

function versionWarnings(version: readonly number[] | undefined, access: EtcdAccess): string[] {
  if (version === undefined) return [];
  const line = SOUND.find(([major, minor]) => major === version[0] && minor === version[1]);
  if (!isBefore(version, line ?? SOUND[0])) return [];
  return [
    `etcd at ${placeOf(access)} is version ${version.join(".")}, with known faults in leases and access control: update it to 3.5.28, 3.6.9 or later`,
  ];
}

function loginWarnings(access: EtcdAccess): string[] {
  if (access.login === undefined || access.isEncrypted) return [];
  if (access.hosts.every((host) => /^(?:localhost|127\.|\[::1\])/u.test(host))) return [];
  return [
    `etcd at ${placeOf(access)} is sent a password in the clear: let it listen with TLS, and configure ca_cert`,
  ];
}

function isBefore(version: readonly number[], other: readonly number[]): boolean {
  const at = other.findIndex((number, index) => number !== (version[index] ?? 0));
  return at >= 0 && (version[at] ?? 0) < (other[at] ?? 0);
}
