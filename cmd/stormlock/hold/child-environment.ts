import { randomBytes } from "node:crypto";
import type { Lease } from "../../../src/lock/lease.js";
import { MARKER_SEPARATOR, MARKER_VARIABLE } from "./process-tree.js";

/** What a command is told of each lock that it runs under. */
export type HeldLease = Pick<Lease, "resource" | "leaseId" | "principal" | "token">;

/** A name for one run of a command, which nothing else on earth carries. */
export function newMarker(): string {
  return randomBytes(16).toString("hex");
}

/**
 * The environment for a command that runs under these locks. With several, each variable has a
 * line per resource, in the order given (no name holds a line break); with one, just its value.
 */
export function childEnvironment(
  base: NodeJS.ProcessEnv,
  leases: readonly HeldLease[],
  marker: string,
): NodeJS.ProcessEnv {
  const lines = (valueOf: (lease: HeldLease) => string): string => leases.map(valueOf).join("\n");
  // A hold inside a hold: the outer one must still find everything that runs under it.
  const outer = base[MARKER_VARIABLE];
  return {
    ...base,
    [MARKER_VARIABLE]: outer ? `${outer}${MARKER_SEPARATOR}${marker}` : marker,
    STORMLOCK_RESOURCE: lines((lease) => lease.resource),
    STORMLOCK_FENCING_TOKEN: lines((lease) => String(lease.token)),
    STORMLOCK_PRINCIPAL: lines((lease) => lease.principal),
    STORMLOCK_LEASE_ID: lines((lease) => lease.leaseId),
  };
}
