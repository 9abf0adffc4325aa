import type { Backend, ListAsk } from "../backend.js";
import type { DepartureSignal } from "../departure.js";
import { LockError } from "../errors.js";
import type { Lease } from "../lease.js";
import { checkPrefix, LIMITS } from "../limits.js";

export interface ListQuery {
  /** Only resources that begin so. */
  readonly prefix: string;
  /** How many at the most; more than the limit means the limit. */
  readonly pageSize: number;
  /** Where the page before ended; empty for the first. */
  readonly pageToken: string;
}

export interface ListPage {
  readonly leases: readonly Lease[];
  /** Empty after the last page. */
  readonly nextPageToken: string;
}

const encoder = new TextEncoder();

/**
 * One page over several backends, in the order of the resources' bytes. A resource that a
 * backend still keeps although the policy now sends it elsewhere is passed over.
 * @throws LockError when the query is wrong, a backend does not answer, or the caller has gone
 */
export async function listPage(
  backends: ReadonlyMap<string, Backend>,
  isAtHome: (backend: string, resource: string) => boolean,
  query: ListQuery,
  signal?: DepartureSignal,
): Promise<ListPage> {
  const prefix = checkPrefix(query.prefix);
  const limit = checkPageSize(query.pageSize);
  const after = query.pageToken === "" ? undefined : decodeToken(query.pageToken);
  const pages = await Promise.all(
    [...backends].map(([name, backend]) =>
      readHome(backend, (resource) => isAtHome(name, resource), { prefix, after, limit }, signal),
    ),
  );
  const leases = pages
    .flatMap((page) => page.leases)
    .sort(byResource)
    .slice(0, limit);
  const isLast =
    pages.every((page) => page.isLast) && pages.flatMap((p) => p.leases).length <= limit;
  const last = leases.at(-1);
  return { leases, nextPageToken: isLast || last === undefined ? "" : encodeToken(last.resource) };
}

// Reads on past what is not at home, so that a short page means the end.
async function readHome(
  backend: Backend,
  isAtHome: (resource: string) => boolean,
  ask: ListAsk,
  signal: DepartureSignal | undefined,
): Promise<{ readonly leases: readonly Lease[]; readonly isLast: boolean }> {
  const leases: Lease[] = [];
  const { limit } = ask;
  let { after } = ask;
  for (;;) {
    if (signal?.aborted === true)
      throw new LockError("cancelled", "the caller has stopped listing");
    const page = await backend.list({ ...ask, after });
    leases.push(...page.filter((lease) => isAtHome(lease.resource)));
    const last = page.at(-1);
    if (page.length < limit || last === undefined) return { leases, isLast: true };
    if (leases.length >= limit) return { leases, isLast: false };
    after = last.resource;
  }
}

function byResource(a: Lease, b: Lease): number {
  const left = encoder.encode(a.resource);
  const right = encoder.encode(b.resource);
  const shorter = Math.min(left.length, right.length);
  for (let at = 0; at < shorter; at++) {
    const difference = (left[at] ?? 0) - (right[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

function checkPageSize(pageSize: number): number {
  if (pageSize < 1 || !Number.isInteger(pageSize)) {
    throw new LockError(
      "invalid-field",
      `page_size ${String(pageSize)} is no page; give 1 to ${String(LIMITS.pageSize)}, or 0 for ${String(LIMITS.defaultPageSize)}`,
      { field: "page_size" },
    );
  }
  return Math.min(pageSize, LIMITS.pageSize);
}

// A token is the last resource's name, in a form that nobody is tempted to write by hand.
function encodeToken(resource: string): string {
  return btoa(String.fromCharCode(...encoder.encode(resource)));
}

function decodeToken(token: string): string {
  try {
    const bytes = Uint8Array.from(atob(token), (char) => char.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new LockError(
      "invalid-field",
      "page_token is none that this API gave out; give next_page_token of the page before, or leave it empty",
      { field: "page_token" },
    );
  }
}
