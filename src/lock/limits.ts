// What names, ids and texts may be. Checked once, at the service, for every door.

import { formatDuration } from "./duration.js";
import { LockError } from "./errors.js";
import type { Rule } from "./policy.js";

export const LIMITS = {
  resourceBytes: 200,
  leaseIdChars: 128,
  principalBytes: 256,
  reasonBytes: 256,
  labels: 32,
  labelKeyBytes: 63,
  labelValueBytes: 256,
  /** A wait longer than this is as good as one without end. */
  waitMs: 31 * 24 * 60 * 60 * 1000,
  /** More leases and waits than this need another Hold stream. */
  leasesPerStream: 10_000,
  pageSize: 1000,
  defaultPageSize: 100,
  messageBytes: 64 * 1024,
} as const;

// C0, DEL and C1 controls, and lone halves of surrogate pairs, which no UTF-8 can carry.
const NOT_TEXT = /[\p{Cc}\p{Cs}]/u;
const VISIBLE_ASCII = /^[!-~]+$/u;
const encoder = new TextEncoder();

function byteLength(text: string): number {
  return encoder.encode(text).length;
}

// A value in a message: short enough to read, and with nothing that moves a terminal.
function shown(value: string): string {
  const start = Array.from(value.slice(0, 82));
  const cut = start.length > 40 ? `${start.slice(0, 40).join("")}…` : value;
  const escape = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(cut).replace(/[\u007f-\u009f]/gu, escape);
}

function refuse(field: string, value: string, complaint: string): never {
  const message = [field, value, complaint].filter((part) => part !== "").join(" ");
  throw new LockError("invalid-field", message, { field });
}

/** @throws LockError "invalid-field" naming the field, the value and the limit; so do all here. */
export function checkResource(resource: string, field = "resource"): string {
  if (resource === "")
    refuse(field, "is empty:", "give a name of 1 to 200 bytes, e.g. deploy/prod");
  const bytes = byteLength(resource);
  if (bytes > LIMITS.resourceBytes) {
    refuse(
      field,
      shown(resource),
      `has ${String(bytes)} bytes; at most ${String(LIMITS.resourceBytes)} are allowed`,
    );
  }
  if (NOT_TEXT.test(resource))
    refuse(field, shown(resource), "contains a control character; none is allowed");
  if (resource.trim() !== resource)
    refuse(field, shown(resource), "begins or ends with a space; remove it");
  if (resource.normalize("NFC") !== resource) {
    refuse(field, shown(resource), "is not in Unicode normalization form C; normalize it first");
  }
  return resource;
}

/** The beginning of a name: one that no name can have is a mistake, and not "nothing found". */
export function checkPrefix(prefix: string, field = "prefix"): string {
  checkText(field, prefix, LIMITS.resourceBytes);
  if (prefix.trimStart() !== prefix)
    refuse(field, shown(prefix), "begins with a space, as no resource does; remove it");
  if (prefix.normalize("NFC") !== prefix) {
    refuse(field, shown(prefix), "is not in Unicode normalization form C; normalize it first");
  }
  return prefix;
}

/** The id itself is never repeated in a message: it is a secret. */
export function checkLeaseId(leaseId: string, field = "lease_id"): string {
  if (leaseId === "") refuse(field, "is empty:", "give the id that acquire answered");
  if (leaseId.length > LIMITS.leaseIdChars) {
    refuse(
      field,
      "",
      `has ${String(leaseId.length)} characters; at most ${String(LIMITS.leaseIdChars)} are allowed`,
    );
  }
  if (!VISIBLE_ASCII.test(leaseId)) refuse(field, "", "may have visible ASCII characters only");
  return leaseId;
}

function checkText(field: string, text: string, mostBytes: number): string {
  const bytes = byteLength(text);
  if (bytes > mostBytes) {
    refuse(
      field,
      shown(text),
      `has ${String(bytes)} bytes; at most ${String(mostBytes)} are allowed`,
    );
  }
  if (NOT_TEXT.test(text))
    refuse(field, shown(text), "contains a control character; none is allowed");
  return text;
}

export function checkPrincipal(principal: string, field = "principal"): string {
  return checkText(field, principal, LIMITS.principalBytes);
}

export function checkReason(reason: string, field = "reason"): string {
  return checkText(field, reason, LIMITS.reasonBytes);
}

export function checkLabels(
  labels: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const entries = Object.entries(labels);
  if (entries.length > LIMITS.labels) {
    refuse(
      "labels",
      "",
      `has ${String(entries.length)} entries; at most ${String(LIMITS.labels)} are allowed`,
    );
  }
  for (const [key, value] of entries) {
    if (key === "") refuse("labels", "", "has an empty key; give every label a name");
    checkText("labels key", key, LIMITS.labelKeyBytes);
    checkText(`labels[${shown(key)}]`, value, LIMITS.labelValueBytes);
  }
  return labels;
}

/** A ttl as policy and store allow it; undefined becomes the policy's default. */
export function checkTtl(
  ttlMs: number | undefined,
  rule: Rule,
  storeMinTtlMs: number,
  resource: string,
): number {
  const asked = ttlMs ?? rule.ttlMs;
  const least = Math.max(rule.minTtlMs, storeMinTtlMs);
  if (!(asked >= least && asked <= rule.maxTtlMs)) {
    refuse(
      "ttl",
      formatDuration(asked),
      `is outside the limits for ${shown(resource)}: ${formatDuration(least)} to ${formatDuration(rule.maxTtlMs)}`,
    );
  }
  return Math.round(asked);
}

export function checkWait(waitMs: number): number {
  if (!(waitMs >= 0))
    refuse("wait", formatDuration(waitMs), "is not 0 or more; leave it out for no wait");
  return waitMs > LIMITS.waitMs ? Infinity : waitMs;
}
