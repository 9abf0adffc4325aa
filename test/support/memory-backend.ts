import { asLockError, LockError } from "../../src/lock/errors.js";
import type {
  AcquireAnswer,
  AcquireAsk,
  Backend,
  BackendTraits,
  HandOverAnswer,
  HandOverAsk,
  ListAnswer,
  ListAsk,
  ReleaseAnswer,
  ReleaseAsk,
  RenewAnswer,
  RenewAsk,
} from "../../src/lock/backend.js";
import { sleep, type Clock } from "../../src/lock/clock.js";
import type { Lease } from "../../src/lock/lease.js";

/** What a client asked, for those who decide whether it goes wrong. */
export interface CallSeen {
  readonly method: "acquire" | "renew" | "release" | "handOver" | "current" | "list" | "check";
  readonly resources: readonly string[];
  /** Counts the calls of this client, from 0. */
  readonly index: number;
}

/** How a call goes wrong. */
export interface Fault {
  /** How long the question is under way. */
  readonly beforeMs?: number;
  /** How long the answer is under way. */
  readonly afterMs?: number;
  /** "before": the store never saw it. "after": it was done, and the answer was lost. */
  readonly fail?: "before" | "after";
}

export type Faults = (call: CallSeen) => Fault | undefined;

interface Row {
  readonly lease: Omit<Lease, "remainingMs" | "expiresAtUs">;
  readonly endsAtMs: number;
  readonly isReleased: boolean;
}

/** A store that is a model of the port, in the time of the given clock. */
export class MemoryStore {
  readonly clock: Clock;
  readonly traits: BackendTraits;
  readonly #rows = new Map<string, Row>();
  readonly #clients = new Set<MemoryBackend>();

  constructor(clock: Clock, traits: Partial<BackendTraits> = {}) {
    this.clock = clock;
    const type = "memory";
    this.traits = { type, place: "memory", minTtlMs: 1, takeoverSlackMs: 0, ...traits };
  }

  /** Another client of this store. */
  open(faults: Faults = () => undefined): MemoryBackend {
    const client = new MemoryBackend(this, faults, () => this.#clients.delete(client));
    this.#clients.add(client);
    return client;
  }

  acquire(ask: AcquireAsk): AcquireAnswer {
    const { resource, leaseId, principal, ttlMs, reason, labels } = ask;
    const row = this.#rows.get(resource);
    if (row !== undefined && this.#isHeld(row)) {
      if (row.lease.leaseId !== leaseId) return { kind: "held", holder: this.#lease(row) };
      return { kind: "granted", lease: this.#extend(row, ttlMs, 0), created: false };
    }
    if (row?.lease.leaseId === leaseId) return { kind: "spent" };
    const createdAtUs = BigInt(Math.floor(this.clock.wallMs() * 1000));
    const next = (row?.lease.token ?? 0n) + 1n;
    const token = next > createdAtUs ? next : createdAtUs;
    const granted = {
      lease: {
        ...{ resource, leaseId, principal, token, ttlMs, createdAtUs, reason, labels },
        revision: token,
      },
      endsAtMs: this.clock.monotonicMs() + ttlMs,
      isReleased: false,
    };
    this.#rows.set(resource, granted);
    return { kind: "granted", lease: this.#lease(granted), created: true };
  }

  renew({ resource, leaseId, ttlMs, ageMs = 0 }: RenewAsk): RenewAnswer {
    const row = this.#held(resource, leaseId);
    if (row === undefined) return { kind: "lost" };
    return { kind: "renewed", lease: this.#extend(row, ttlMs ?? row.lease.ttlMs, ageMs) };
  }

  release(ask: ReleaseAsk, by: MemoryBackend): ReleaseAnswer {
    const answer = this.#end(ask);
    if (answer.kind === "released") this.#tell(ask.resource, by);
    return answer;
  }

  // What is held again at once is told to nobody.
  handOver({ release, acquire }: HandOverAsk, by: MemoryBackend): HandOverAnswer {
    const ended = this.#end(release);
    const answer = this.acquire(acquire);
    if (ended.kind === "released" && answer.kind !== "granted") this.#tell(release.resource, by);
    return { kind: "asked", release: ended, acquire: answer };
  }

  current(resource: string): Lease | undefined {
    const row = this.#rows.get(resource);
    return row !== undefined && this.#isHeld(row) ? this.#lease(row) : undefined;
  }

  list({ prefix, after, limit }: ListAsk): Lease[] {
    return [...this.#rows.values()]
      .filter((row) => this.#isHeld(row))
      .map((row) => this.#lease(row))
      .filter(({ resource }) => resource.startsWith(prefix))
      .filter(({ resource }) => after === undefined || compareBytes(resource, after) > 0)
      .sort((a, b) => compareBytes(a.resource, b.resource))
      .slice(0, limit);
  }

  #end({ resource, leaseId, ifRevision }: ReleaseAsk): ReleaseAnswer {
    const row = this.#held(resource, leaseId);
    if (row === undefined) return { kind: "not-held" };
    if (ifRevision !== undefined && ifRevision !== row.lease.revision) return { kind: "not-held" };
    this.#rows.set(resource, { ...row, isReleased: true });
    return { kind: "released" };
  }

  #tell(resource: string, by: MemoryBackend): void {
    for (const client of this.#clients) if (client !== by) client.hint(resource);
  }

  #held(resource: string, leaseId: string): Row | undefined {
    const row = this.#rows.get(resource);
    return row?.lease.leaseId === leaseId && this.#isHeld(row) ? row : undefined;
  }

  #isHeld({ isReleased, endsAtMs }: Row): boolean {
    return !isReleased && endsAtMs > this.clock.monotonicMs();
  }

  #extend(row: Row, ttlMs: number, ageMs: number): Lease {
    const extended = {
      ...row,
      lease: { ...row.lease, ttlMs, revision: row.lease.revision + 1n },
      endsAtMs: Math.max(row.endsAtMs, this.clock.monotonicMs() + ttlMs - ageMs),
    };
    this.#rows.set(row.lease.resource, extended);
    return this.#lease(extended);
  }

  #lease({ lease, endsAtMs }: Row): Lease {
    const remainingMs = endsAtMs - this.clock.monotonicMs();
    const expiresAtUs = BigInt(Math.floor((this.clock.wallMs() + remainingMs) * 1000));
    return { ...lease, remainingMs, expiresAtUs };
  }
}

/** One client of a MemoryStore. */
export class MemoryBackend implements Backend {
  /** Every call so far, for tests that look at how a store is used. */
  readonly calls: CallSeen[] = [];
  readonly #store: MemoryStore;
  readonly #faults: Faults;
  readonly #onClose: () => void;
  readonly #listeners = new Set<(resource: string | undefined) => void>();
  readonly #underWay = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(store: MemoryStore, faults: Faults, onClose: () => void) {
    this.#store = store;
    this.#faults = faults;
    this.#onClose = onClose;
  }

  get traits(): BackendTraits {
    return this.#store.traits;
  }

  acquire(asks: readonly AcquireAsk[]): Promise<readonly AcquireAnswer[]> {
    return this.#call("acquire", asks.map(resourceOf), () =>
      asks.map((ask) => this.#store.acquire(ask)),
    );
  }

  renew(asks: readonly RenewAsk[]): Promise<readonly RenewAnswer[]> {
    return this.#call("renew", asks.map(resourceOf), () =>
      asks.map((ask) => this.#store.renew(ask)),
    );
  }

  release(asks: readonly ReleaseAsk[]): Promise<readonly ReleaseAnswer[]> {
    return this.#call("release", asks.map(resourceOf), () =>
      asks.map((ask) => this.#store.release(ask, this)),
    );
  }

  // May be taken away: a store need not have it.
  handOver: Backend["handOver"] = (asks) =>
    this.#call(
      "handOver",
      asks.map(({ release }) => release.resource),
      () => asks.map((ask) => this.#store.handOver(ask, this)),
    );

  current(resources: readonly string[]): Promise<readonly (Lease | undefined)[]> {
    return this.#call("current", resources, () =>
      resources.map((resource) => this.#store.current(resource)),
    );
  }

  list(ask: ListAsk): Promise<readonly ListAnswer[]> {
    return this.#call("list", [], () => this.#store.list(ask));
  }

  check(): Promise<void> {
    return this.#call("check", [], () => undefined);
  }

  watch(mayBeFree: (resource: string | undefined) => void): () => void {
    const listener = (resource: string | undefined): void => {
      mayBeFree(resource);
    };
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Called by the store. */
  hint(resource: string | undefined): void {
    this.#store.clock.endOfTurn(() => {
      for (const listener of this.#listeners) listener(resource);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#listeners.clear();
    this.#onClose();
    await Promise.allSettled(this.#underWay);
  }

  async #call<T>(
    method: CallSeen["method"],
    resources: readonly string[],
    apply: () => T,
  ): Promise<T> {
    if (this.#isClosed) throw new LockError("unavailable", "the memory store has been closed here");
    const call = { method, resources, index: this.calls.length };
    this.calls.push(call);
    const work = this.#suffer(this.#faults(call) ?? {}, apply);
    this.#underWay.add(work);
    try {
      return await work;
    } catch (error) {
      throw asLockError(error, "unavailable");
    } finally {
      this.#underWay.delete(work);
    }
  }

  async #suffer<T>({ beforeMs, afterMs, fail }: Fault, apply: () => T): Promise<T> {
    const { clock } = this.#store;
    if (beforeMs !== undefined) await sleep(clock, beforeMs);
    const answer = fail === "before" ? undefined : { is: apply() };
    if (afterMs !== undefined) await sleep(clock, afterMs);
    if (answer !== undefined && fail === undefined) return answer.is;
    throw new LockError("unavailable", `the memory store failed ${String(fail)} it had applied it`);
  }
}

const resourceOf = ({ resource }: { readonly resource: string }): string => resource;

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
