// One resource's traffic with its store.
//
//   L1. At most one operation is on its way, so that a batch never names a resource twice.
//   L2. Renewals and releases go before acquires.
//   L3. Only the head of the queue asks: the store sees one asker, not one per waiter.
//   L4. Who does not want to wait takes the last place and is answered with the next answer: it
//       does not pass those who queue.
//   L5. A caller that goes leaves at once and delays nobody. A grant that arrives for one who
//       has gone is taken back only if this very ask created the lease and nobody has touched
//       it since: its id may have been asked for again elsewhere, and be believed there.
//   L6. A failed ask is "unknown". Who waits is asked for again, with the same id; who does
//       not, and everybody once the store has failed for ASK_PATIENCE_MS, is told so.
//   L7. What is not known is asked: hints and clocks only say when. A hint that comes while the
//       store is being asked may be younger than the answer: it is asked again.
//   L8. Who asks with the id that holds already is asked for first: the answer to its first call
//       was lost, and in the queue it would wait for itself.

import type { AcquireAnswer, ReleaseAnswer, ReleaseAsk, RenewAnswer, RenewAsk } from "./backend.js";
import { Announcer } from "./announcer.js";
import type { Batcher } from "./batcher.js";
import type { Clock } from "./clock.js";
import type { LockError } from "./errors.js";
import type { Lease } from "./lease.js";
import { WaitQueue, type Place, type Waiter } from "./queue.js";

/** How long a store may go on failing before those who wait are told. */
const ASK_PATIENCE_MS = 10_000;

// How soon a failed ask is repeated: doubled from the first to the second.
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2000;

// A holder's lease ends by the store's clock, which is asked no more often than this around its
// end, and no less often than the other: hints may be lost.
const SOONEST_ASK_MS = 20;
const LATEST_ASK_MS = 5000;

/** What a line needs of its store. */
export interface LineOwner {
  readonly clock: Clock;
  readonly batcher: Batcher;
  /** Hints are of use to the line from now on, until it is forgotten. */
  wantHints(line: ResourceLine): void;
  /** Nothing is under way and nobody waits. */
  forget(line: ResourceLine): void;
}

export class ResourceLine {
  readonly resource: string;
  readonly #owner: LineOwner;
  readonly #queue = new WaitQueue();
  readonly #direct: (() => Promise<void>)[] = [];
  readonly #announcer: Announcer;
  #asked: Place | undefined;
  // Whom to ask for next, before the head (L8).
  #ahead: Place | undefined;
  #isHinted = false;
  #isBusy = false;
  #holder: Lease | undefined;
  #stopSleeping: (() => void) | undefined;
  #failingSinceMs: number | undefined;
  #retryMs = FIRST_RETRY_MS;

  constructor(resource: string, owner: LineOwner) {
    this.resource = resource;
    this.#owner = owner;
    this.#announcer = new Announcer(owner.clock, this.#queue);
  }

  get waiters(): number {
    return this.#queue.size;
  }

  /** Queues a caller. A second one with the same lease id takes over the first one's place. */
  join(waiter: Waiter, isImpatient: boolean): void {
    const place = this.#queue.find(waiter.ask.leaseId);
    if (place === undefined) this.#queue.join(waiter, isImpatient);
    else this.#queue.takeOver(place, waiter, isImpatient);
    const isHolder = this.#holder?.leaseId === waiter.ask.leaseId;
    if (isImpatient || isHolder) this.#wake();
    if (this.#stopSleeping !== undefined) this.#announceSoon();
    this.#pump();
  }

  /** The caller has gone (L5). */
  leave(waiter: Waiter): void {
    const place = this.#queue.find(waiter.ask.leaseId);
    if (place?.waiter !== waiter) return;
    if (place === this.#asked) {
      place.isGone = true;
      return;
    }
    this.#queue.leave(place);
    this.#announceSoon();
    this.#pump();
  }

  /** The caller's time is up: the next answer settles it, and the store is asked for it now. */
  hurry(waiter: Waiter): void {
    const place = this.#queue.find(waiter.ask.leaseId);
    if (place?.waiter !== waiter) return;
    place.isImpatient = true;
    this.#wake();
  }

  renew(ask: RenewAsk): Promise<RenewAnswer> {
    return this.#run(async () => {
      const answer = await this.#owner.batcher.renew(ask);
      if (answer.kind === "renewed" && this.#holder !== undefined) {
        this.#holder = answer.lease;
        if (this.#stopSleeping !== undefined) this.#sleepUntilFree(answer.lease);
      }
      return answer;
    });
  }

  release(ask: ReleaseAsk): Promise<ReleaseAnswer> {
    return this.#run(async () => {
      const answer = await this.#owner.batcher.release(ask);
      if (answer.kind !== "not-held") this.#wake();
      return answer;
    });
  }

  /** The resource may be free: ask again (L7). */
  hint(): void {
    if (this.#asked !== undefined) this.#isHinted = true;
    this.#wake();
  }

  /** Tells everybody who waits that nothing will come of it. */
  failAll(error: LockError): void {
    this.#awake();
    for (const place of this.#queue.takeOut((each) => each !== this.#asked))
      place.waiter.fail(error);
    const asked = this.#asked;
    if (asked !== undefined && !asked.isGone) {
      asked.isGone = true;
      asked.waiter.fail(error);
    }
    this.#pump();
  }

  // Runs a renewal or a release in its turn (L1, L2).
  #run<Answer>(operation: () => Promise<Answer>): Promise<Answer> {
    return new Promise((resolve) => {
      this.#direct.push(async () => {
        resolve(await operation());
      });
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#isBusy) return;
    const direct = this.#direct.shift();
    if (direct !== undefined) {
      void this.#busy(direct);
      return;
    }
    const { head } = this.#queue;
    if (head === undefined) {
      this.#awake();
      this.#announcer.stop();
      this.#owner.forget(this);
      return;
    }
    if (this.#stopSleeping !== undefined) return;
    const ahead = this.#ahead;
    const next = ahead !== undefined && this.#queue.has(ahead) ? ahead : head;
    void this.#busy(() => this.#askFor(next));
  }

  async #busy(operation: () => Promise<void>): Promise<void> {
    this.#isBusy = true;
    await operation();
    this.#isBusy = false;
    this.#pump();
  }

  async #askFor(place: Place): Promise<void> {
    const askedAtMs = this.#owner.clock.monotonicMs();
    this.#asked = place;
    this.#ahead = undefined;
    this.#isHinted = false;
    const answer = await this.#owner.batcher.acquire(place.waiter.ask);
    this.#asked = undefined;
    if (answer.kind === "failed") {
      this.#onFailure(place, answer.error);
      return;
    }
    this.#failingSinceMs = undefined;
    this.#retryMs = FIRST_RETRY_MS;
    this.#onAnswer(place, answer, askedAtMs);
    this.#announceSoon();
  }

  #onAnswer(
    place: Place,
    answer: Exclude<AcquireAnswer, { kind: "failed" }>,
    askedAtMs: number,
  ): void {
    switch (answer.kind) {
      case "granted": {
        this.#queue.leave(place);
        this.#holder = answer.lease;
        if (place.isGone) {
          if (answer.created) this.#takeBack(answer.lease);
        } else {
          place.waiter.settle({ ...answer, askedAtMs });
        }
        this.#refuseTheImpatient(answer.lease);
        this.#sleepUntilFree(answer.lease);
        return;
      }
      case "held":
        this.#holder = answer.holder;
        if (place.isGone) this.#queue.leave(place);
        if (place.waiter.ask.leaseId !== answer.holder.leaseId) {
          this.#ahead = this.#queue.find(answer.holder.leaseId);
        }
        this.#refuseTheImpatient(answer.holder);
        if (this.#ahead === undefined && !this.#isHinted) this.#sleepUntilFree(answer.holder);
        return;
      case "spent":
        this.#queue.leave(place);
        if (!place.isGone) place.waiter.settle({ kind: "spent" });
        return;
    }
  }

  // L6. An ask that failed may have been granted: the lease then lives out its ttl, or is found
  // by whoever asks again with its id.
  #onFailure(place: Place, error: LockError): void {
    const nowMs = this.#owner.clock.monotonicMs();
    this.#failingSinceMs ??= nowMs;
    const isHopeless = nowMs - this.#failingSinceMs >= ASK_PATIENCE_MS;
    if (place.isGone) this.#queue.leave(place);
    for (const each of this.#queue.takeOut((other) => isHopeless || other.isImpatient)) {
      each.waiter.fail(error);
    }
    if (this.#queue.size === 0) return;
    this.#sleep(this.#retryMs);
    this.#announceSoon();
    this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
  }

  #takeBack(lease: Lease): void {
    void this.release({
      resource: this.resource,
      leaseId: lease.leaseId,
      ifRevision: lease.revision,
    });
  }

  #refuseTheImpatient(holder: Lease): void {
    for (const place of this.#queue.takeOut((each) => each.isImpatient && each !== this.#ahead)) {
      place.waiter.settle({ kind: "held", holder });
    }
  }

  #sleepUntilFree(holder: Lease): void {
    if (this.#queue.size === 0) return;
    this.#sleep(Math.min(Math.max(holder.remainingMs + 1, SOONEST_ASK_MS), LATEST_ASK_MS));
  }

  #sleep(ms: number): void {
    this.#stopSleeping?.();
    this.#stopSleeping = this.#owner.clock.after(ms, () => {
      this.#wake();
    });
    this.#owner.wantHints(this);
  }

  #wake(): void {
    if (this.#stopSleeping === undefined) return;
    this.#awake();
    this.#pump();
  }

  #awake(): void {
    this.#stopSleeping?.();
    this.#stopSleeping = undefined;
  }

  #announceSoon(): void {
    // Who holds it now is not known while the store does not answer.
    this.#announcer.soon(() => (this.#failingSinceMs === undefined ? this.#holder : undefined));
  }
}
