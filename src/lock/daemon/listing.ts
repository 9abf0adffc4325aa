import type { Backend, ListAnswer, ListAsk, Unreadable } from "../backend.js";
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
  /** What cannot be read; it takes its room on the page. */
  readonly unreadable: readonly Unreadable[];
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
  const found = pages.flatMap((page) => page.answers).sort(byResource);
  const isLast = pages.every((page) => page.isLast) && found.length <= limit;
  const page = found.slice(0, limit);
  return {
    leases: page.flatMap((answer) => (isUnreadable(answer) ? [] : [answer])),
    unreadable: page.filter(isUnreadable),
    nextPageToken: isLast ? "" : encodeToken(placeAfter(page, after).resource),
  };
}

// Reads on past what is not at home, so that a short page means the end.
async function readHome(
  backend: Backend,
  isAtHome: (resource: string) => boolean,
  ask: ListAsk,
  signal: DepartureSignal | undefined,
): Promise<{ readonly answers: readonly ListAnswer[]; readonly isLast: boolean }> {
  const answers: ListAnswer[] = [];
  const { limit } = ask;
  let { after } = ask;
  for (;;) {
    if (signal?.aborted === true)
      throw new LockError("cancelled", "the caller has stopped listing");
    const page = await backend.list({ ...ask, after });
    const isLast = page.length < limit;
    const place = isLast ? undefined : placeAfter(page, after);
    // What is behind that place comes again.
    const read = place === undefined ? page : page.slice(0, page.indexOf(place) + 1);
    answers.push(...read.filter(({ resource }) => isAtHome(resource)));
    if (isLast) return { answers, isLast };
    if (answers.filter(isPlace).length >= limit) return { answers, isLast };
    after = place?.resource;
  }
}

// Where to go on. A page that leads nowhere would be read for ever.
function placeAfter(page: readonly ListAnswer[], before: string | undefined): ListAnswer {
  const place = page.findLast(isPlace);
  if (place !== undefined && place.resource !== before) return place;
  throw (
    page.find(isUnreadable)?.error ??
    new LockError("unavailable", "a store has answered list with the page before")
  );
}

// A key that is no UTF-8, and so no resource's, reads as if it had U+FFFD in it, and comes elsewhere
// in the order than that.
function isPlace(answer: ListAnswer): boolean {
  return !isUnreadable(answer) || !answer.resource.includes("\u{fffd}");
}

function isUnreadable(answer: ListAnswer): answer is Unreadable {
  return "kind" in answer;
}

function byResource(a: ListAnswer, b: ListAnswer): number {
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
