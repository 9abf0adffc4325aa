import type { AcquireAsk } from "../backend.js";
import { LockError } from "../errors.js";
import type { Lease } from "../lease.js";

/** What became of an attempt to acquire. */
export type AcquireOutcome =
  Granted | { readonly kind: "held"; readonly holder: Lease } | { readonly kind: "spent" };

export interface Granted {
  readonly kind: "granted";
  readonly lease: Lease;
  /** The monotonic time before the store was asked: what is left of the lease counts from here. */
  readonly askedAtMs: number;
  /** Whether this very ask created the lease, rather than finding or renewing it. */
  readonly created: boolean;
}

/** One caller who stands in a queue. */
export interface Waiter {
  readonly ask: AcquireAsk;
  /** Called once. */
  settle(outcome: AcquireOutcome): void;
  /** Called once, instead of `settle`. */
  fail(error: LockError): void;
  /** Called when the place or the holder has changed, at most once a second. */
  onQueued(position: number, holder: Lease | undefined): void;
}

/** A place in a queue. It outlives its caller's connection when that asks again in time. */
export interface Place {
  waiter: Waiter;
  /** The caller has gone while the store was being asked on its behalf. */
  isGone: boolean;
  /** The next answer about the resource ends the wait, whatever it is. */
  readonly isImpatient: boolean;
  /** What onQueued was told last. */
  told: { readonly position: number; readonly holderToken: bigint | undefined } | undefined;
}

/** Where one who queues stands now, who has been told otherwise. */
export interface News {
  readonly place: Place;
  readonly position: number;
}

/** Those who want one resource, first come first served. */
export class WaitQueue {
  // By lease id. A Map keeps the order of arrival, and lets anyone leave from the middle.
  readonly #places = new Map<string, Place>();
  // Looked up with every answer, and few of many.
  readonly #impatient = new Set<Place>();

  get size(): number {
    return this.#places.size;
  }

  get head(): Place | undefined {
    return this.#places.values().next().value;
  }

  join(waiter: Waiter, isImpatient: boolean): void {
    const place: Place = { waiter, isGone: false, isImpatient, told: undefined };
    this.#places.set(waiter.ask.leaseId, place);
    if (isImpatient) this.#impatient.add(place);
  }

  /** Where a caller stands who asks for the second time with the same id. */
  find(leaseId: string): Place | undefined {
    return this.#places.get(leaseId);
  }

  /** The second caller with a lease id takes the place of the first, which has no answer. */
  takeOver(place: Place, waiter: Waiter, isImpatient: boolean): void {
    const { waiter: superseded, isGone } = place;
    Object.assign(place, { waiter, isGone: false, isImpatient, told: undefined });
    if (isImpatient) this.#impatient.add(place);
    else this.#impatient.delete(place);
    if (isGone) return;
    superseded.fail(
      new LockError("cancelled", "another call with the same lease id has taken this one's place"),
    );
  }

  has(place: Place): boolean {
    return this.#places.get(place.waiter.ask.leaseId) === place;
  }

  /** Its caller has no more time. */
  hurry(place: Place): void {
    Object.assign(place, { isImpatient: true });
    if (this.has(place)) this.#impatient.add(place);
  }

  leave(place: Place): void {
    if (!this.has(place)) return;
    this.#places.delete(place.waiter.ask.leaseId);
    this.#impatient.delete(place);
  }

  /** Takes out, in order, all but this one. */
  takeOutAll(except?: Place): readonly Place[] {
    return this.#takeOut(this.#places.values(), except);
  }

  /** Takes out those who do not want to wait, or no longer. */
  takeOutImpatient(except?: Place): readonly Place[] {
    return this.#impatient.size === 0 ? NOBODY : this.#takeOut(this.#impatient, except);
  }

  #takeOut(places: Iterable<Place>, except: Place | undefined): readonly Place[] {
    const taken = [...places].filter((place) => place !== except);
    for (const place of taken) this.leave(place);
    return taken;
  }

  /** Everyone whose place or holder has changed since they were told. They count as told. */
  news(holder: Lease | undefined): News[] {
    const news: News[] = [];
    let position = 0;
    for (const place of this.#places.values()) {
      position += 1;
      const { told } = place;
      const holderToken = holder?.token;
      if (place.isGone || (told?.position === position && told.holderToken === holderToken)) {
        continue;
      }
      place.told = { position, holderToken };
      news.push({ place, position });
    }
    return news;
  }
}

const NOBODY: readonly Place[] = [];
