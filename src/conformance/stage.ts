// What the stories share: two clients of one store, names of their own, and time.

import assert from "node:assert/strict";
import { setTimeout as realTime } from "node:timers/promises";
import type { AcquireAnswer, AcquireAsk, Backend } from "../lock/backend.js";
import { leaseIn } from "../lock/unreadable.js";
import { newLeaseId, type Lease } from "../lock/lease.js";

/** A test runner: node:test, vitest, jest and mocha fit. */
export interface Runner {
  describe(name: string, body: () => void): unknown;
  it(name: string, body: () => Promise<void>): unknown;
}

export interface ConformanceOptions {
  readonly runner: Runner;

  /** Opens one more client of the store under test. Each test opens two and closes them. */
  readonly open: () => Promise<Backend>;

  /** Lets so much time pass for the store; by default it really passes. */
  readonly wait?: (ms: number) => Promise<void>;

  /**
   * The ttl of leases that a test lets end, in ms; by default 500 ms or the store's
   * shortest, whichever is longer.
   */
  readonly shortTtlMs?: number;

  /**
   * Which of the operations that may be left out the backend has; then it is made sure of, and none
   * of their stories passes because nobody played it.
   */
  readonly operations?: readonly ("handOver" | "watch")[];

  /**
   * Puts something under a resource's name that no backend has written, as another program may;
   * left out where the store can have no such thing.
   * @returns what takes it away again
   */
  readonly spoil?: (resource: string) => Promise<() => Promise<void>>;
}

/** Longer than any test runs. */
export const LONG_TTL_MS = 60_000;

const SHORT_TTL_MS = 500;

// What a store's clock may be coarser than ours, and its answer late.
const MARGIN_MS = 50;

export class Stage {
  readonly ours: Backend;
  readonly theirs: Backend;
  readonly shortTtlMs: number;
  readonly #options: ConformanceOptions;
  readonly #scene = newLeaseId().slice(0, 12);

  constructor(ours: Backend, theirs: Backend, options: ConformanceOptions) {
    this.ours = ours;
    this.theirs = theirs;
    this.#options = options;
    this.shortTtlMs = options.shortTtlMs ?? Math.max(SHORT_TTL_MS, ours.traits.minTtlMs);
  }

  /** A resource that no other test uses. All of one test's begin alike. */
  name(rest = ""): string {
    return `conformance/${this.#scene}/${rest}`;
  }

  ask(resource: string, more: Partial<AcquireAsk> = {}): AcquireAsk {
    return {
      ...{ resource, leaseId: newLeaseId(), principal: "ann@here", ttlMs: LONG_TTL_MS },
      ...{ reason: "", labels: {} },
      ...more,
    };
  }

  /** Lets every lease with the short ttl end, so that others may have its resource. */
  async outliveShortTtl(): Promise<void> {
    await this.wait(this.shortTtlMs + this.ours.traits.takeoverSlackMs + MARGIN_MS);
  }

  wait(ms: number): Promise<void> {
    return this.#options.wait?.(ms) ?? realTime(ms);
  }
}

/** Registers one story; its clients are closed whatever happens. */
export function story(
  options: ConformanceOptions,
  name: string,
  play: (stage: Stage) => Promise<void>,
): void {
  options.runner.it(name, async () => {
    await using ours = await options.open();
    await using theirs = await options.open();
    await play(new Stage(ours, theirs, options));
  });
}

/** Asks for one resource. */
export async function acquire(backend: Backend, ask: AcquireAsk): Promise<AcquireAnswer> {
  return only(await backend.acquire([ask]));
}

/** Asks for one resource that is free. */
export async function granted(backend: Backend, ask: AcquireAsk): Promise<Lease> {
  const answer = await acquire(backend, ask);
  assert.ok(answer.kind === "granted", `${ask.resource} is ${answer.kind}, not granted`);
  return answer.lease;
}

/** @returns the lease, or undefined when it was lost */
export async function renew(
  backend: Backend,
  { resource, leaseId }: Pick<Lease, "resource" | "leaseId">,
  ttlMs?: number,
): Promise<Lease | undefined> {
  const answer = only(await backend.renew([{ resource, leaseId, ttlMs }]));
  assert.notEqual(answer.kind, "failed");
  return answer.kind === "renewed" ? answer.lease : undefined;
}

export async function release(
  backend: Backend,
  { resource, leaseId }: Pick<Lease, "resource" | "leaseId">,
  ifRevision?: bigint,
): Promise<"released" | "not-held" | "failed"> {
  const ask = { resource, leaseId };
  return only(await backend.release([ifRevision === undefined ? ask : { ...ask, ifRevision }]))
    .kind;
}

export async function current(backend: Backend, resource: string): Promise<Lease | undefined> {
  return leaseIn(only(await backend.current([resource])));
}

/** What must not change of a lease that nobody may touch. */
export function identity(lease: Lease | undefined): unknown {
  assert.ok(lease !== undefined, "the lease should be there");
  const { resource, leaseId, principal, token, createdAtUs, revision } = lease;
  return { resource, leaseId, principal, token, createdAtUs, revision };
}

function only<T>(answers: readonly T[]): T {
  assert.equal(answers.length, 1, "one question should have one answer");
  return answers[0] as T;
}
