// Collects what is asked of one store during one turn of the event loop, and sends it as one
// batch a kind. Renewals go first: a grant that comes late costs its caller a moment, a renewal
// that comes late costs its holder the lock.

import type {
  AcquireAnswer,
  AcquireAsk,
  Backend,
  Failed,
  HandOverAnswer,
  HandOverAsk,
  ReleaseAnswer,
  ReleaseAsk,
  RenewAnswer,
  RenewAsk,
} from "../backend.js";
import type { Clock } from "../clock.js";
import { asLockError, LockError } from "../errors.js";
import type { Lease } from "../lease.js";

/** A renewal, until the store is asked for it: how old its sign of life is then, nobody knows before. */
export interface RenewWish {
  readonly resource: string;
  readonly leaseId: string;
  /** The ttl from now on; undefined keeps the lease's own. */
  readonly ttlMs: number | undefined;
  /** When the sign of life came that it rests on, on the monotonic clock. */
  readonly signOfLifeAtMs: number;
  /** Until when the lease is certainly its holder's, on the same clock; undefined when unknown. */
  readonly validUntilMs?: number;
}

/** What became of it; what is left of the lease counts from before the store was asked. */
export type RenewOutcome =
  | { readonly kind: "renewed"; readonly lease: Lease; readonly askedAtMs: number }
  | { readonly kind: "lost" }
  | Failed;

interface Renewal {
  readonly wish: RenewWish;
  askedAtMs: number;
}

// Longer batches gain nothing more (measured on PostgreSQL and Redis), and hold up the others.
const LONGEST_BATCH = 1000;

export class Batcher {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #renewals: Lane<Renewal, RenewAnswer>;
  readonly #releases: Lane<ReleaseAsk, ReleaseAnswer>;
  readonly #handOvers: Lane<HandOverAsk, HandOverAnswer>;
  readonly #acquires: Lane<AcquireAsk, AcquireAnswer>;
  readonly #reads: Lane<string, Read | Failed>;
  // Several may ask after one resource in one turn; the store is asked once (B7).
  readonly #reading = new Map<string, Promise<Read | Failed>>();
  #isScheduled = false;

  constructor(backend: Backend, clock: Clock) {
    this.#backend = backend;
    this.#clock = clock;
    // Looked up anew for every batch: a store that is opened late has its traits late.
    const longest = (): number => Math.min(backend.traits.longestBatch ?? Infinity, LONGEST_BATCH);
    this.#renewals = new Lane(backend, longest, (renewals) => {
      const nowMs = clock.monotonicMs();
      return backend.renew(renewals.map((renewal) => askNow(renewal, nowMs)));
    });
    this.#releases = new Lane(backend, longest, (asks) => backend.release(asks));
    this.#handOvers = new Lane(
      backend,
      longest,
      async (asks) => (await backend.handOver?.(asks)) ?? [],
    );
    this.#acquires = new Lane(backend, longest, (asks) => backend.acquire(asks));
    this.#reads = new Lane(
      backend,
      () => LONGEST_BATCH,
      async (resources) =>
        (await backend.current(resources)).map((answer): Read | Failed =>
          answer !== undefined && "kind" in answer ? answer : { kind: "read", lease: answer },
        ),
    );
  }

  acquire(ask: AcquireAsk): Promise<AcquireAnswer> {
    this.#schedule();
    return this.#acquires.add(ask);
  }

  async renew(wish: RenewWish): Promise<RenewOutcome> {
    this.#schedule();
    const renewal: Renewal = { wish, askedAtMs: NaN };
    const answer = await this.#renewals.add(renewal);
    return answer.kind === "renewed" ? { ...answer, askedAtMs: renewal.askedAtMs } : answer;
  }

  release(ask: ReleaseAsk): Promise<ReleaseAnswer> {
    this.#schedule();
    return this.#releases.add(ask);
  }

  /** Whether the store can release and acquire at once. A store that is opened late may learn it. */
  get canHandOver(): boolean {
    return this.#backend.handOver !== undefined;
  }

  handOver(ask: HandOverAsk): Promise<HandOverAnswer> {
    this.#schedule();
    return this.#handOvers.add(ask);
  }

  /** @throws LockError when the store does not answer */
  async current(resource: string): Promise<Lease | undefined> {
    let reading = this.#reading.get(resource);
    if (reading === undefined) {
      this.#schedule();
      reading = this.#reads.add(resource);
      this.#reading.set(resource, reading);
    }
    const answer = await reading;
    if (answer.kind === "failed") throw answer.error;
    return answer.lease;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#clock.endOfTurn(() => {
      this.#isScheduled = false;
      this.#reading.clear();
      this.#renewals.send();
      this.#releases.send();
      this.#handOvers.send();
      this.#acquires.send();
      this.#reads.send();
    });
  }
}

function askNow(renewal: Renewal, nowMs: number): RenewAsk {
  renewal.askedAtMs = nowMs;
  const { resource, leaseId, ttlMs, signOfLifeAtMs, validUntilMs } = renewal.wish;
  const validForMs = validUntilMs === undefined ? undefined : validUntilMs - nowMs;
  return { resource, leaseId, ttlMs, ageMs: Math.ceil(nowMs - signOfLifeAtMs), validForMs };
}

interface Read {
  readonly kind: "read";
  readonly lease: Lease | undefined;
}

// One kind of question, and who waits for which answer.
class Lane<Ask, Answer> {
  readonly #backend: Backend;
  readonly #longest: () => number;
  readonly #ask: (asks: readonly Ask[]) => Promise<readonly Answer[]>;
  #asks: Ask[] = [];
  #waiting: ((answer: Answer | Failed) => void)[] = [];

  constructor(
    backend: Backend,
    longest: () => number,
    ask: (asks: readonly Ask[]) => Promise<readonly Answer[]>,
  ) {
    this.#backend = backend;
    this.#longest = longest;
    this.#ask = ask;
  }

  add(ask: Ask): Promise<Answer | Failed> {
    this.#asks.push(ask);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  send(): void {
    const asks = this.#asks;
    const waiting = this.#waiting;
    if (asks.length === 0) return;
    this.#asks = [];
    this.#waiting = [];
    const longest = Math.max(1, this.#longest());
    for (let at = 0; at < asks.length; at += longest) {
      const end = at + longest;
      void this.#sendOne(asks.slice(at, end), waiting.slice(at, end));
    }
  }

  // Never rejects: whoever waits is told.
  async #sendOne(
    asks: readonly Ask[],
    waiting: readonly ((answer: Answer | Failed) => void)[],
  ): Promise<void> {
    let answers: readonly (Answer | Failed)[];
    try {
      // An adapter may be a stranger's: what is no list answers nothing.
      const given: unknown = await this.#ask(asks);
      answers = Array.isArray(given) ? (given as readonly Answer[]) : [];
    } catch (thrown) {
      const failed: Failed = { kind: "failed", error: asLockError(thrown, "unavailable") };
      answers = asks.map(() => failed);
    }
    waiting.forEach((tell, index) => {
      tell(answers[index] ?? this.#noAnswer());
    });
  }

  #noAnswer(): Failed {
    const { type } = this.#backend.traits;
    const message = `the store's adapter (${type}) answered fewer questions than it was asked`;
    return { kind: "failed", error: new LockError("internal", message) };
  }
}
