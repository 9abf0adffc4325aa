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
//       not, and everybody once the store has failed for long (outage.ts), is told so.
//   L7. What is not known is asked: hints and clocks only say when. A hint that comes while the
//       store is being asked may be younger than a refusal: it is asked again. With a grant it
//       is nearly always the echo of the release that has made room for it.
//   L8. Who asks with the id that holds already is asked for first: the answer to its first call
//       was lost, and in the queue it would wait for itself.
//   L9. Who gives back what others of this line wait for hands it over to the next: the store is
//       asked for both at once. After MOST_HAND_OVERS in a row it is put down first, so that the
//       other daemons of the store, which hear of nothing while it goes from hand to hand, have
//       their chance.

import type { AcquireAnswer, ReleaseAnswer, ReleaseAsk } from "../backend.js";
import { Alarm, askAgainMs } from "./alarm.js";
import { Announcer } from "./announcer.js";
import type { Batcher, RenewOutcome, RenewWish } from "./batcher.js";
import type { Clock } from "../clock.js";
import type { LockError } from "../errors.js";
import type { Lease } from "../lease.js";
import { Outage } from "./outage.js";
import { WaitQueue, type Place, type Waiter } from "./queue.js";

// What hand-overs save grows no more from here on, and others wait for their end.
const MOST_HAND_OVERS = 16;

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
  // While it is set nobody is asked for.
  readonly #alarm: Alarm;
  readonly #outage = new Outage();
  #asked: Place | undefined;
  // Whom to ask for next, before the head (L8).
  #ahead: Place | undefined;
  #handOvers = 0;
  #isHinted = false;
  #isBusy = false;
  #holder: Lease | undefined;

  constructor(resource: string, owner: LineOwner) {
    this.resource = resource;
    this.#owner = owner;
    // Who holds it now is not known while the store does not answer.
    this.#announcer = new Announcer(owner.clock, this.#queue, () =>
      this.#outage.isOn ? undefined : this.#holder,
    );
    this.#alarm = new Alarm(owner.clock, () => {
      this.#pump();
    });
  }

  /** Queues a caller. A second one with the same lease id takes over the first one's place. */
  join(waiter: Waiter, isImpatient: boolean): void {
    const place = this.#queue.find(waiter.ask.leaseId);
    if (place === undefined) this.#queue.join(waiter, isImpatient);
    else this.#queue.takeOver(place, waiter, isImpatient);
    const isHolder = this.#holder?.leaseId === waiter.ask.leaseId;
    if (isImpatient || isHolder) this.#wake();
    if (this.#alarm.isSet) this.#announcer.soon();
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
    this.#announcer.soon();
    this.#pump();
  }

  /** The caller's time is up: the next answer settles it, and the store is asked for it now. */
  hurry(waiter: Waiter): void {
    const place = this.#queue.find(waiter.ask.leaseId);
    if (place?.waiter !== waiter) return;
    this.#queue.hurry(place);
    this.#wake();
  }

  renew(wish: RenewWish): Promise<RenewOutcome> {
    return this.#run(async () => {
      const answer = await this.#owner.batcher.renew(wish);
      if (answer.kind === "renewed" && this.#holder !== undefined) {
        this.#holder = answer.lease;
        if (this.#alarm.isSet) this.#sleepUntilFree(answer.lease);
      }
      return answer;
    });
  }

  release(ask: ReleaseAsk): Promise<ReleaseAnswer> {
    return this.#run(async () => {
      const next = this.#successor(ask);
      if (next !== undefined) return this.#handOver(ask, next);
      this.#handOvers = 0;
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

  /** Tells all who wait that nothing will come of it. */
  failAll(error: LockError): void {
    this.#alarm.stop();
    for (const place of this.#queue.takeOutAll(this.#asked)) place.waiter.fail(error);
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
    const next = this.#next;
    if (next === undefined) {
      this.#alarm.stop();
      this.#announcer.stop();
      this.#owner.forget(this);
      return;
    }
    if (this.#alarm.isSet) return;
    void this.#busy(() => this.#askFor(next));
  }

  async #busy(operation: () => Promise<void>): Promise<void> {
    this.#isBusy = true;
    try {
      await operation();
    } finally {
      this.#isBusy = false;
      this.#pump();
    }
  }

  /** Whom to ask for next. */
  get #next(): Place | undefined {
    const ahead = this.#ahead;
    return ahead !== undefined && this.#queue.has(ahead) ? ahead : this.#queue.head;
  }

  async #askFor(
    place: Place,
    ask = (): Promise<AcquireAnswer> => this.#owner.batcher.acquire(place.waiter.ask),
  ): Promise<void> {
    const askedAtMs = this.#owner.clock.monotonicMs();
    this.#asked = place;
    this.#ahead = undefined;
    this.#isHinted = false;
    const answer = await ask();
    this.#asked = undefined;
    if (answer.kind === "failed") {
      this.#onFailure(place, answer.error);
      return;
    }
    this.#outage.end();
    this.#onAnswer(place, answer, askedAtMs);
    this.#announcer.soon();
  }

  // L9. Only by whoever is known to hold it: what else is released changes nothing for the queue.
  #successor({ leaseId }: ReleaseAsk): Place | undefined {
    if (this.#handOvers >= MOST_HAND_OVERS || !this.#owner.batcher.canHandOver) return undefined;
    return this.#outage.isOn || this.#holder?.leaseId !== leaseId ? undefined : this.#next;
  }

  async #handOver(release: ReleaseAsk, place: Place): Promise<ReleaseAnswer> {
    this.#handOvers += 1;
    this.#alarm.stop();
    const asked = this.#owner.batcher.handOver({ release, acquire: place.waiter.ask });
    await this.#askFor(place, async () => {
      const answer = await asked;
      return answer.kind === "failed" ? answer : answer.acquire;
    });
    const answer = await asked;
    if (answer.kind === "failed") return answer;
    // A store may have done it the other way round.
    if (answer.release.kind === "released" && answer.acquire.kind === "held") this.#wake();
    return answer.release;
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
    const { isHopeless, retryMs } = this.#outage.failed(this.#owner.clock.monotonicMs());
    if (place.isGone) this.#queue.leave(place);
    const out = isHopeless ? this.#queue.takeOutAll() : this.#queue.takeOutImpatient();
    for (const each of out) each.waiter.fail(error);
    if (this.#queue.size === 0) return;
    this.#sleep(retryMs);
    this.#announcer.soon();
  }

  #takeBack(lease: Lease): void {
    void this.release({
      resource: this.resource,
      leaseId: lease.leaseId,
      ifRevision: lease.revision,
    });
  }

  #refuseTheImpatient(holder: Lease): void {
    for (const place of this.#queue.takeOutImpatient(this.#ahead)) {
      place.waiter.settle({ kind: "held", holder });
    }
  }

  #sleepUntilFree(holder: Lease): void {
    if (this.#queue.size > 0) this.#sleep(askAgainMs(holder));
  }

  #sleep(ms: number): void {
    this.#alarm.set(ms);
    this.#owner.wantHints(this);
  }

  #wake(): void {
    if (!this.#alarm.isSet) return;
    this.#alarm.stop();
    this.#pump();
  }
}
