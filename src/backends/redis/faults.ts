// What can be wrong with a Redis, and the one line that says so and what to do. Errors of the
// driver carry the command with its arguments, passwords and lease ids among them: nothing but
// their message is ever passed on, and of that no arguments.

import { LockError } from "../../lock/errors.js";

const KINDS = {
  closed: (place: string) => `the connection to redis ${place} has been closed here`,
  slow: (place: string, detail: string) =>
    `redis ${place} has not answered within ${detail}: see whether it is stopped, overloaded or cut off; the next call connects anew`,
  replica: (place: string, detail: string) =>
    `redis ${place} is a replica${detail} and grants nothing: name its primary in url, or let sentinels find it (redis+sentinel://)`,
  eviction: (place: string, detail: string) =>
    `redis ${place} has maxmemory-policy ${detail}, by which it may throw locks away while they are held: set maxmemory-policy noeviction, or allow_eviction = true to take the risk`,
  "eviction-unknown": (place: string) =>
    `redis ${place} does not say whether it may throw locks away when its memory is full: allow its user INFO or CONFIG GET, or see that its maxmemory-policy is noeviction and set allow_eviction = true`,
  old: (place: string, detail: string) =>
    `redis ${place} has version ${detail}: 6.0 is the oldest that will do`,
  newer: (place: string, detail: string) =>
    `the keys in redis ${place} were made by a newer Stormlock (format ${detail}): update this one, or use another prefix`,
  cluster: (place: string) =>
    `redis ${place} is part of a cluster: begin the url with redis+cluster:// (or rediss+cluster://)`,
  "many-moves": (place: string) =>
    `the nodes of redis ${place} send us in circles: wait until the cluster has settled, then see CLUSTER NODES`,
  "no-hints": (place: string, detail: string) =>
    `redis ${place} does not let this user tell others of a release: allow it PUBLISH and SUBSCRIBE on the channel ${detail}`,
  "no-names": (place: string, detail: string) =>
    `redis ${place} has names in ${detail} that are no UTF-8: another program writes keys under this prefix; remove them, or use another prefix`,
  file: (_place: string, detail: string) => detail,
} as const;

/** Something wrong that is not an error of the driver's. */
export class StoreFault extends Error {
  readonly kind: keyof typeof KINDS;
  readonly detail: string;

  constructor(kind: keyof typeof KINDS, detail = "") {
    super(kind);
    this.kind = kind;
    this.detail = detail;
  }
}

type Words = readonly [pattern: RegExp, words: (place: string, message: string) => string];

const WORDS: readonly Words[] = [
  [
    /^(WRONGPASS|ERR invalid password|ERR AUTH)/u,
    (place) => `redis ${place} refuses the user or password: correct them in the configuration`,
  ],
  [
    /^NOAUTH/u,
    (place) => `redis ${place} wants a password: give user and password, or put them in url`,
  ],
  [
    /^NOPERM|ACL failure|No permissions|can't run this command/u,
    (place, message) =>
      `redis ${place} does not allow this user what is needed (${message}): docs/backends/redis.md lists the rights`,
  ],
  [/^READONLY|-READONLY/u, (place) => KINDS.replica(place, "")],
  [
    /OOM command not allowed/u,
    (place) =>
      `redis ${place} has no memory left: raise its maxmemory or make room; what is held is kept, but nothing new is granted`,
  ],
  [
    /MISCONF/u,
    (place) =>
      `redis ${place} cannot write to its disk and takes no changes: see its log, and make room or mend the disk`,
  ],
  [
    /NOREPLICAS/u,
    (place) =>
      `redis ${place} has fewer replicas than min-replicas-to-write wants: see that they are up`,
  ],
  [/^LOADING/u, (place) => `redis ${place} is still loading its data: try again in a moment`],
  [
    /^BUSY/u,
    (place) =>
      `redis ${place} is busy with somebody's long script: try again; if it stays so, end it with SCRIPT KILL`,
  ],
  [
    /^(CLUSTERDOWN|MASTERDOWN)/u,
    (place) =>
      `the cluster of redis ${place} is down: see CLUSTER INFO; it grants nothing until then`,
  ],
  [
    /^(MOVED|ASK|TRYAGAIN)/u,
    (place) =>
      `the locks of redis ${place} are being moved to another node of its cluster: try again in a moment`,
  ],
  [
    /DB index is out of range/u,
    (place) =>
      `redis ${place} does not have the database that url names: see its setting databases`,
  ],
  [
    /ECONNREFUSED/u,
    (place) => `redis ${place} cannot be reached: nothing listens there; start it, or correct url`,
  ],
  [
    /ENOTFOUND|EAI_AGAIN/u,
    (place) => `redis ${place} cannot be found: its host's name is unknown; correct url`,
  ],
  [
    /ENOENT|EACCES/u,
    (place, message) =>
      `redis ${place} cannot be reached (${message}): correct url, or the socket's rights`,
  ],
  [
    /certificate|CERT|ALTNAME|altnames/u,
    (place, message) =>
      `the certificate of redis ${place} is not trusted (${message}): name the one that signed it in ca, and a host that it is made for in url`,
  ],
  [
    /SSL|TLS|EPROTO/u,
    (place, message) =>
      `redis ${place} and we do not agree on TLS (${message}): begin the url with rediss:// only where the server speaks TLS, and give cert and key where it asks for them`,
  ],
  [
    /sentinels are unreachable/u,
    (place, message) =>
      `no sentinel says where the primary of redis ${place} is (${message}): see that they are up and know that name`,
  ],
  [
    /Connection is closed|connection close|ECONNRESET|EPIPE|writeable/u,
    (place) =>
      `the connection to redis ${place} was lost: what was under way may or may not have been done; the next call connects anew`,
  ],
];

/** One line that says where, what is wrong, and what to do. */
export function explain(thrown: unknown, place: string): LockError {
  if (thrown instanceof LockError) return thrown;
  return new LockError("unavailable", wordsFor(thrown, place), {
    cause: new Error(messageOf(thrown)),
  });
}

/** It was not done, and may be over another connection: the server says so, or never saw it. */
export function isUndone(thrown: unknown): boolean {
  return /^(MOVED|READONLY|MASTERDOWN)|-READONLY|isn't writeable/u.test(messageOf(thrown));
}

/** Where a cluster says that the locks are: `host:port`. */
export function movedTo(thrown: unknown): string | undefined {
  return /^MOVED [0-9]+ (\S+)/u.exec(messageOf(thrown))?.[1];
}

export function isNoScript(thrown: unknown): boolean {
  return messageOf(thrown).startsWith("NOSCRIPT");
}

/** Whether the user lacks the right, or the server the command. */
export function isForbidden(thrown: unknown): boolean {
  return /^NOPERM|^ERR unknown (sub)?command/iu.test(messageOf(thrown));
}

function wordsFor(thrown: unknown, place: string): string {
  if (thrown instanceof StoreFault) return KINDS[thrown.kind](place, thrown.detail);
  const message = messageOf(thrown);
  const words = WORDS.find(([pattern]) => pattern.test(message))?.[1];
  return words?.(place, message) ?? `redis ${place} cannot be used: ${message}`;
}

// A server that does not know a command repeats what it was given.
function messageOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const code = (thrown as { readonly code?: unknown }).code;
  const text = thrown.message === "" && typeof code === "string" ? code : thrown.message;
  return (text.split("\n")[0] ?? "").replace(/,? with args beginning with:.*/su, "");
}
