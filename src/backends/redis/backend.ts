// Locks in Redis or Valkey: every batch is one script call.

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
import type { Clock } from "../../lock/clock.js";
import { parseDuration } from "../../lock/duration.js";
import { LockError } from "../../lock/errors.js";
import { listed } from "../../lock/unreadable.js";
import { ADDRESS_FORM, parseAddress, placeOf } from "./address.js";
import {
  acquireAnswer,
  currentAnswer,
  releaseAnswer,
  renewAnswer,
  Reply,
  saidOf,
} from "./answers.js";
import { run, type Access } from "./driver.js";
import { StoreFault } from "./faults.js";
import { Hints } from "./hints.js";
import { durabilityWarnings, inspect, inspectFormat, type Expectations } from "./inspection.js";
import { keysOf, rangeOf, type Keys } from "./keys.js";
import { Link } from "./link.js";
import {
  ACQUIRE,
  CHECK,
  CURRENT,
  HAND_OVER,
  NAMES,
  PRUNE,
  RELEASE,
  RENEW,
  type Script,
} from "./scripts.js";
import { DEFAULT_PREFIX, DEFAULT_TIMEOUT, type RedisSettings } from "./settings.js";

/** What tests replace; everybody else leaves it out. */
export interface RedisHooks {
  /** How long a row stays after its lease has ended. */
  readonly keepRowsMs?: number;
}

// Longer than any duplicate is under way.
const KEEP_ROWS_MS = 24 * 60 * 60 * 1000;

// How many names are looked at in one go: a script keeps everybody else waiting.
const NAMES_A_LOOK = 1000;

/**
 * Opens a store, which needs no making.
 * @throws LockError "unavailable" with one line that says what is wrong and what to do
 */
export async function openRedis(
  settings: RedisSettings,
  { clock }: { readonly clock: Clock },
  { keepRowsMs = KEEP_ROWS_MS }: RedisHooks = {},
): Promise<Backend> {
  const address = parseAddress(settings.url);
  if (address === undefined) {
    throw new LockError("invalid-field", `url ${ADDRESS_FORM}`, { field: "url" });
  }
  const timeoutMs = parseDuration(settings.timeout ?? DEFAULT_TIMEOUT) ?? 0;
  const access = { address, settings };
  const keys = keysOf(settings.prefix ?? DEFAULT_PREFIX);
  const allowsEviction = settings.allow_eviction ?? false;
  const expected = { kind: address.kind, keys, allowsEviction };
  const backend = new RedisBackend({ access, expected, timeoutMs, clock, keepRowsMs });
  try {
    await backend.connect();
    return backend;
  } catch (error) {
    await backend[Symbol.asyncDispose]();
    throw error;
  }
}

interface BackendOptions {
  readonly access: Access;
  readonly expected: Expectations;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly keepRowsMs: number;
}

class RedisBackend implements Backend {
  readonly traits: BackendTraits;
  warnings: readonly string[] = [];
  readonly #options: BackendOptions;
  readonly #keys: Keys;
  readonly #link: Link;
  readonly #listeners = new Set<(resource: string | undefined) => void>();
  readonly #background = new Set<Promise<unknown>>();
  #hints: Hints | undefined;

  constructor(options: BackendOptions) {
    const place = placeOf(options.access.address);
    this.traits = { type: "redis", place, minTtlMs: 100, takeoverSlackMs: 0 };
    this.#options = options;
    this.#keys = options.expected.keys;
    this.#link = new Link(options);
  }

  /** @throws LockError "unavailable" */
  async connect(): Promise<void> {
    await this.#link.ask(() => Promise.resolve());
  }

  async acquire(asks: readonly AcquireAsk[]): Promise<readonly AcquireAnswer[]> {
    if (asks.length === 0) return [];
    const { state, names, ends } = this.#keys;
    const args = asks.flatMap((ask) => {
      const { resource, leaseId, ttlMs } = ask;
      return [resource, leaseId, Math.ceil(ttlMs), saidOf(ask)];
    });
    const resources = resourcesOf(asks);
    const keys = [state, names, ends, ...this.#rows(resources)];
    const reply = await this.#ask(ACQUIRE, keys, [this.#options.keepRowsMs, ...args]);
    const due = reply.rest(asks.length);
    if (due.length > 0) this.#inBackground(this.#prune(due));
    return reply.answers(resources, acquireAnswer);
  }

  async renew(asks: readonly RenewAsk[]): Promise<readonly RenewAnswer[]> {
    if (asks.length === 0) return [];
    const args = asks.flatMap(({ leaseId, ttlMs, ageMs = 0 }) => [
      ...[leaseId, ttlMs === undefined ? "" : Math.ceil(ttlMs), Math.ceil(ageMs)],
    ]);
    const resources = resourcesOf(asks);
    const reply = await this.#ask(RENEW, [this.#keys.state, ...this.#rows(resources)], args);
    return reply.answers(resources, renewAnswer);
  }

  async release(asks: readonly ReleaseAsk[]): Promise<readonly ReleaseAnswer[]> {
    if (asks.length === 0) return [];
    const { state, names, freed } = this.#keys;
    const resources = resourcesOf(asks);
    const keys = [state, names, ...this.#rows(resources)];
    const reply = await this.#ask(RELEASE, keys, [freed, ...asks.flatMap(releaseValues)]);
    return reply.answers(resources, releaseAnswer);
  }

  async handOver(asks: readonly HandOverAsk[]): Promise<readonly HandOverAnswer[]> {
    if (asks.length === 0) return [];
    const { state, names, ends, freed } = this.#keys;
    const resources = asks.map(({ release }) => release.resource);
    const keys = [state, names, ends, ...this.#rows(resources)];
    const args = asks.flatMap(({ release, acquire }) => {
      const { leaseId, ttlMs } = acquire;
      return [...releaseValues(release), leaseId, Math.ceil(ttlMs), saidOf(acquire)];
    });
    const reply = await this.#ask(HAND_OVER, keys, [this.#options.keepRowsMs, freed, ...args]);
    const due = reply.rest(2 * asks.length);
    if (due.length > 0) this.#inBackground(this.#prune(due));
    const acquired = reply.after(asks.length).answers(resources, acquireAnswer);
    return reply.answers(resources, releaseAnswer).flatMap((release, at): HandOverAnswer[] => {
      const acquire = acquired[at];
      return acquire === undefined ? [] : [{ kind: "asked", release, acquire }];
    });
  }

  async current(resources: readonly string[]): Promise<readonly CurrentAnswer[]> {
    if (resources.length === 0) return [];
    const reply = await this.#ask(CURRENT, [this.#keys.state, ...this.#rows(resources)], []);
    return reply.answers(resources, currentAnswer);
  }

  // Names first, then their rows: what was held all the while is among the names all the while.
  list({ prefix, after, limit }: ListAsk): Promise<readonly ListAnswer[]> {
    const { state, names } = this.#keys;
    return this.#link.ask(async (client) => {
      const page: ListAnswer[] = [];
      let last = after;
      for (;;) {
        const count = Math.min(limit - page.length, NAMES_A_LOOK);
        const range = rangeOf(prefix, last);
        const found = (await run(client, NAMES, [state, names], [...range, count])) as string[];
        if (found.length > 0) {
          const reply = new Reply(await run(client, CURRENT, [state, ...this.#rows(found)], []));
          page.push(...listed(found, reply.answers(found, currentAnswer)));
        }
        if (found.length < count || page.length === limit) return page;
        const next = found.at(-1);
        if (next === last) throw new StoreFault("no-names", names); // Else the same for ever.
        last = next;
      }
    });
  }

  watch(mayBeFree: (resource: string | undefined) => void): () => void {
    const listener = (resource: string | undefined): void => {
      mayBeFree(resource);
    };
    this.#listeners.add(listener);
    const { access, timeoutMs, clock } = this.#options;
    this.#hints ??= new Hints({
      ...{ access, timeoutMs, clock, channel: this.#keys.freed },
      onHint: (resource) => {
        for (const tell of this.#listeners) tell(resource);
      },
    });
    return () => {
      if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
      const hints = this.#hints;
      this.#hints = undefined;
      if (hints !== undefined) this.#inBackground(hints[Symbol.asyncDispose]());
    };
  }

  async check(): Promise<void> {
    const { state, freed } = this.#keys;
    const { kind } = this.#options.expected;
    await this.#link.ask(async (client) => {
      await inspect(client, this.#options.expected);
      const [format, complaint] = (await run(client, CHECK, [state], [freed])) as string[];
      inspectFormat(format);
      if (complaint !== "") throw new StoreFault("no-hints", freed);
      // With replicas it is best effort whatever the settings are.
      const { place } = this.traits;
      this.warnings = kind === "single" ? await durabilityWarnings(client, place) : [];
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listeners.clear();
    const hints = this.#hints;
    this.#hints = undefined;
    await hints?.[Symbol.asyncDispose]();
    await this.#link[Symbol.asyncDispose]();
    await Promise.allSettled(this.#background);
  }

  async #prune(due: readonly string[]): Promise<void> {
    const { state, names, ends } = this.#keys;
    const keys = [state, names, ends, ...this.#rows(due)];
    const args = [this.#options.keepRowsMs, ...due];
    await this.#link.ask((client) => run(client, PRUNE, keys, args));
  }

  // What may fail without harm.
  #inBackground(work: Promise<unknown>): void {
    const settled = work.then(
      () => undefined,
      () => undefined,
    );
    this.#background.add(settled);
    void settled.then(() => this.#background.delete(settled));
  }

  #rows(resources: readonly string[]): string[] {
    return resources.map((resource) => this.#keys.row(resource));
  }

  #ask(
    script: Script,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<Reply> {
    return this.#link.ask(async (client) => new Reply(await run(client, script, keys, args)));
  }
}

function releaseValues({ resource, leaseId, ifRevision }: ReleaseAsk): readonly string[] {
  return [resource, leaseId, ifRevision === undefined ? "" : String(ifRevision)];
}

function resourcesOf(asks: readonly { readonly resource: string }[]): string[] {
  return asks.map(({ resource }) => resource);
}
