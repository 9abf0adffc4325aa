// Stormlock's embedded store: an SQLite file for the processes of one host.

import { resolve } from "node:path";
import type {
  AcquireAnswer,
  AcquireAsk,
  Backend,
  BackendTraits,
  CurrentAnswer,
  HandOverAnswer,
  HandOverAsk,
  ListAnswer,
  ListAsk,
  ReleaseAnswer,
  ReleaseAsk,
  RenewAnswer,
  RenewAsk,
} from "../../lock/backend.js";
import { labelsIn } from "../../lock/labels.js";
import type { Lease } from "../../lock/lease.js";
import { listed, readEach, readOne } from "../../lock/unreadable.js";
import type { OpenDeps } from "../type.js";
import {
  NO_REVISION,
  type AcquireAskValues,
  type AnswerValues,
  type LeaseValues,
  type ReleaseAskValues,
} from "./messages.js";
import { refuseNetworkFileSystem, type StatFs } from "./network-file-system.js";
import type { StoreDesk } from "./thread.js";

/** What a configuration says of an embedded store. */
export interface SqliteSettings {
  /** The store's file, an absolute path. It and its directory are made when missing. */
  readonly path: string;
}

/** What tests replace; everybody else leaves it out. */
export interface SqliteHooks {
  /** How long to try for the file's lock while another process has it. */
  readonly busyMs?: number;
  /** The name of another boot than this one. */
  readonly bootId?: string;
  /** How many µs this host's clocks are ahead of the real ones; in shared memory. */
  readonly aheadUs?: BigInt64Array;
  readonly statFs?: StatFs;
}

const BUSY_MS = 2000;

/**
 * Opens an embedded store, making the file when it is missing.
 * @throws LockError "unavailable" with one line that says what is wrong with it and what to do
 */
export async function openSqlite(
  settings: SqliteSettings,
  { clock, isBrief = false }: OpenDeps,
  { busyMs = BUSY_MS, bootId, aheadUs, statFs }: SqliteHooks = {},
): Promise<Backend> {
  const path = resolve(settings.path);
  await refuseNetworkFileSystem(path, statFs === undefined ? {} : { statFs });
  const listeners = new Set<(resource: string | undefined) => void>();
  const onReleased = (): void => {
    for (const mayBeFree of listeners) mayBeFree(undefined);
  };
  const options = { path, busyMs };
  const desk = isBrief
    ? new (await import("./here.js")).StoreHere(options, onReleased)
    : new (await import("./thread.js")).StoreThread(
        { ...options, bootId, aheadUs },
        clock,
        onReleased,
      );
  await desk.open();
  return new SqliteBackend(path, desk, listeners);
}

class SqliteBackend implements Backend {
  readonly traits: BackendTraits;
  readonly #desk: StoreDesk;
  readonly #listeners: Set<(resource: string | undefined) => void>;

  constructor(
    path: string,
    desk: StoreDesk,
    listeners: Set<(resource: string | undefined) => void>,
  ) {
    this.traits = { type: "sqlite", place: path, minTtlMs: 100, takeoverSlackMs: 0 };
    this.#desk = desk;
    this.#listeners = listeners;
  }

  async acquire(asks: readonly AcquireAsk[]): Promise<readonly AcquireAnswer[]> {
    const answers = await this.#desk.ask(["acquire", asks.map(acquireValues)]);
    return answers.map((answer, index) => acquireAnswer(answer, asks[index]?.resource ?? ""));
  }

  async renew(asks: readonly RenewAsk[]): Promise<readonly RenewAnswer[]> {
    const values = asks.map(
      ({ resource, leaseId, ttlMs, ageMs = 0 }) =>
        [
          ...([resource, leaseId, ttlMs === undefined ? undefined : Math.ceil(ttlMs)] as const),
          Math.ceil(ageMs),
        ] as const,
    );
    const answers = await this.#desk.ask(["renew", values]);
    return answers.map((answer, index) => {
      const resource = asks[index]?.resource ?? "";
      return readOne(resource, () =>
        answer[0] === "renewed"
          ? { kind: "renewed", lease: toLease(resource, answer[1]) }
          : { kind: "lost" },
      );
    });
  }

  async release(asks: readonly ReleaseAsk[]): Promise<readonly ReleaseAnswer[]> {
    const answers = await this.#desk.ask(["release", asks.map(releaseValues)]);
    return answers.map(releaseAnswer);
  }

  async handOver(asks: readonly HandOverAsk[]): Promise<readonly HandOverAnswer[]> {
    const values = asks.map(
      ({ release, acquire }) => [releaseValues(release), acquireValues(acquire)] as const,
    );
    const answers = await this.#desk.ask(["hand-over", values]);
    return answers.map(([released, acquired], index) => ({
      kind: "asked",
      release: releaseAnswer(released),
      acquire: acquireAnswer(acquired, asks[index]?.acquire.resource ?? ""),
    }));
  }

  async current(resources: readonly string[]): Promise<readonly CurrentAnswer[]> {
    const leases = await this.#desk.ask(["current", resources]);
    return readEach(resources, (resource, index) => {
      const lease = leases[index];
      return lease && toLease(resource, lease);
    });
  }

  async list({ prefix, after, limit }: ListAsk): Promise<readonly ListAnswer[]> {
    const rows = await this.#desk.ask(["list", [prefix, after, limit]]);
    const names = rows.map(([resource]) => resource);
    const leases = rows.map(([resource, lease]) =>
      readOne(resource, () => toLease(resource, lease)),
    );
    return listed(names, leases);
  }

  watch(mayBeFree: (resource: string | undefined) => void): () => void {
    const listener = (resource: string | undefined): void => {
      mayBeFree(resource);
    };
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#desk.watch(true);
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#desk.watch(false);
    };
  }

  async check(): Promise<void> {
    await this.#desk.ask(["check"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listeners.clear();
    await this.#desk[Symbol.asyncDispose]();
  }
}

function acquireValues(ask: AcquireAsk): AcquireAskValues {
  const { resource, leaseId, principal, ttlMs, reason, labels } = ask;
  return [resource, leaseId, principal, Math.ceil(ttlMs), reason, JSON.stringify(labels)];
}

function releaseValues({ resource, leaseId, ifRevision }: ReleaseAsk): ReleaseAskValues {
  return [resource, leaseId, ifRevision === undefined ? NO_REVISION : Number(ifRevision)];
}

function releaseAnswer([kind]: AnswerValues): ReleaseAnswer {
  return { kind: kind === "released" ? "released" : "not-held" };
}

function acquireAnswer(answer: AnswerValues, resource: string): AcquireAnswer {
  const [kind, values] = answer;
  if (values === undefined) return { kind: "spent" };
  return readOne(resource, (): AcquireAnswer => {
    const lease = toLease(resource, values);
    if (kind === "held") return { kind, holder: lease };
    return { kind: "granted", lease, created: kind === "granted" };
  });
}

function toLease(resource: string, values: LeaseValues): Lease {
  const [leaseId, principal, token, ttlMs, remainingMs] = values;
  const [, , , , , createdAtUs, expiresAtUs, revision, reason, labels] = values;
  return {
    ...{ resource, leaseId, principal, ttlMs, remainingMs, reason },
    token: BigInt(token),
    createdAtUs: BigInt(createdAtUs),
    expiresAtUs: BigInt(expiresAtUs),
    revision: BigInt(revision),
    labels: labelsIn(labels),
  };
}
