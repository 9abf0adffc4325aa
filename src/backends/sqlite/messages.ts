// What the two threads say to each other: plain values in arrays, which are cheap to copy.

/** Stands for "whatever its revision is". */
export const NO_REVISION = -1;

/** [resource, lease id, principal, ttl in ms, reason, labels as JSON] */
export type AcquireAskValues = readonly [string, string, string, number, string, string];
/** [resource, lease id, ttl in ms or undefined for the lease's own, age in ms] */
export type RenewAskValues = readonly [string, string, number | undefined, number];
/** [resource, lease id, revision or NO_REVISION] */
export type ReleaseAskValues = readonly [string, string, number];
/** [prefix, after, limit] */
export type ListAskValues = readonly [string, string | undefined, number];

/** [lease id, principal, token, ttl ms, remaining ms, created µs, expires µs, revision, reason, labels as JSON] */
export type LeaseValues = readonly [
  ...[string, string, number, number, number],
  ...[number, number, number, string, string],
];

export type AnswerValues =
  | readonly ["granted" | "extended" | "held" | "renewed", LeaseValues]
  | readonly ["spent" | "lost" | "released" | "not-held"];

export type WriteQuestion =
  | readonly ["acquire", readonly AcquireAskValues[]]
  | readonly ["renew", readonly RenewAskValues[]]
  | readonly ["release", readonly ReleaseAskValues[]]
  | readonly ["hand-over", readonly (readonly [ReleaseAskValues, AcquireAskValues])[]]
  | readonly ["check"];

export type ReadQuestion =
  readonly ["current", readonly string[]] | readonly ["list", ListAskValues];

/** Whether a question changes nothing. */
export function isRead(question: WriteQuestion | ReadQuestion): question is ReadQuestion {
  return question[0] === "current" || question[0] === "list";
}

/** Sent by a question's asker; the number comes back with the answer: 0 asks for none. */
export type Request = readonly [
  number,
  WriteQuestion | ReadQuestion | readonly ["watch", boolean] | readonly ["close"],
];

export interface Answers {
  readonly acquire: readonly AnswerValues[];
  readonly renew: readonly AnswerValues[];
  readonly release: readonly AnswerValues[];
  readonly "hand-over": readonly (readonly [AnswerValues, AnswerValues])[];
  readonly check: undefined;
  readonly current: readonly (LeaseValues | undefined)[];
  readonly list: readonly (readonly [string, LeaseValues])[];
  readonly watch: undefined;
}

/** [the request's number, undefined or one line about why it failed, the answer] */
export type Reply = readonly [number, string | undefined, unknown];

/** What the worker says: that the store is open or why not, replies, or that something was released. */
export type FromWorker =
  | readonly ["opened", string | undefined]
  | readonly ["replies", readonly Reply[]]
  | readonly ["released"];

/** How a worker is started. */
export interface WorkerOptions {
  readonly path: string;
  readonly busyMs: number;
  /** Up to which number requests have been given up; shared memory. */
  readonly givenUp: BigInt64Array;
  /** For tests: another boot than the real one. */
  readonly bootId: string | undefined;
  /** For tests: how many µs the clocks are ahead of the real ones; shared memory. */
  readonly aheadUs: BigInt64Array | undefined;
}
