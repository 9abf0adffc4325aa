// How a lease is printed. `id oneline lines cols rows json` print what the older tool printed,
// so that its users' scripts carry on; what we add comes after it.

import { formatDuration } from "../../src/lock/duration.js";
import type { Lease } from "../../src/lock/lease.js";

export const LEASE_FORMATS = ["id", "json", "lines", "oneline", "cols", "rows"] as const;

export type LeaseFormat = (typeof LEASE_FORMATS)[number];

/** ISO-8601 with milliseconds, in UTC. */
export function isoTime(us: bigint): string {
  return new Date(Number(us / 1000n)).toISOString();
}

/** A lease as JSON has it. Its id is left out where the reader is not meant to have it. */
export function leaseJson(lease: Lease): Record<string, unknown> {
  return {
    ...(lease.leaseId === "" ? {} : { id: lease.leaseId }),
    created: isoTime(lease.createdAtUs),
    principal: lease.principal,
    resource: lease.resource,
    expires: isoTime(lease.expiresAtUs),
    ttl: formatDuration(lease.ttlMs),
    token: String(lease.token),
    reason: lease.reason,
    labels: lease.labels,
  };
}

/** A lease as text, its last line ended. */
export function formatLease(lease: Lease, format: LeaseFormat): string {
  const fields = [lease.principal, isoTime(lease.createdAtUs), lease.leaseId];
  switch (format) {
    case "id":
      return `${lease.leaseId}\n`;
    case "json":
      return `${JSON.stringify(leaseJson(lease))}\n`;
    case "oneline":
      return `${fields.join("\t")}\n`;
    case "lines":
      return `${fields.join("\n")}\n`;
    case "cols":
      return columns([["PRINCIPAL", "CREATED", "ID"], fields]);
    case "rows":
      return rows(lease);
  }
}

// Every column has the width of the widest field and four more, the last one too: what the
// older tool's users cut by position is where it was.
function columns(lines: readonly (readonly string[])[]): string {
  const width = Math.max(...(lines.at(-1) ?? []).map((field) => lengthOf(field))) + 4;
  return lines.map((line) => `${line.map((field) => pad(field, width)).join("")}\n`).join("");
}

function rows(lease: Lease): string {
  const added: [string, string][] = [
    ["Expires", isoTime(lease.expiresAtUs)],
    ["Ttl", formatDuration(lease.ttlMs)],
    ["Token", String(lease.token)],
    ...(lease.reason === "" ? [] : [["Reason", lease.reason] as [string, string]]),
    ...Object.entries(lease.labels).map(
      ([key, value]) => ["Label", `${key}=${value}`] as [string, string],
    ),
  ];
  const first = [
    ["Principal", lease.principal],
    ["Created", isoTime(lease.createdAtUs)],
    ["Id", lease.leaseId],
  ];
  return [...first, ...added]
    .map(([name, value]) => `${String(name)}: ${String(value)}\n`)
    .join("");
}

const LIST_HEADER = ["RESOURCE", "PRINCIPAL", "CREATED", "EXPIRES", "TOKEN", "REASON"];

/** Leases of several resources: tab-separated lines for scripts, aligned ones for people. */
export function formatLeases(leases: readonly Lease[], isForPeople: boolean): string {
  const lines = leases.map((lease) => [
    lease.resource,
    lease.principal,
    isoTime(lease.createdAtUs),
    isoTime(lease.expiresAtUs),
    String(lease.token),
    lease.reason,
  ]);
  if (!isForPeople) return lines.map((line) => `${line.join("\t")}\n`).join("");
  if (lines.length === 0) return "";
  const all = [LIST_HEADER, ...lines];
  const widths = LIST_HEADER.map(
    (_, column) => Math.max(...all.map((line) => lengthOf(line[column] ?? ""))) + 2,
  );
  return all
    .map(
      (line) =>
        `${line
          .map((field, at) => pad(field, widths[at] ?? 0))
          .join("")
          .trimEnd()}\n`,
    )
    .join("");
}

// In code points, as the older tool counted.
function lengthOf(text: string): number {
  return Array.from(text).length;
}

function pad(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - lengthOf(text)));
}
