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
} from "./backend.js";
import type { Clock } from "./clock.js";
import { asLockError, LockError } from "./errors.js";
import type { Lease } from "./lease.js";

// Longer batches gain nothing more (measured on PostgreSQL and Redis), and hold up the others.
const LONGEST_BATCH = 1000;

export class Batcher {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #renewals: Lane<RenewAsk, RenewAnswer>;
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
    this.#renewals = new Lane(backend, longest, (asks) => backend.renew(asks));
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

  renew(ask: RenewAsk): Promise<RenewAnswer> {
    this.#schedule();
    return this.#renewals.add(ask);
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
