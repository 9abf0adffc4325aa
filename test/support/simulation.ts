// Virtual time for whole systems: several processes with clocks of their own, that can be
// stopped, killed and cut off, and a network in between. The code under test is the real one.

import type { Clock } from "../../src/lock/clock.js";

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** A seeded source of randomness (mulberry32): the same seed tells the same story. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 to 1, 1 excluded. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  between(low: number, high: number): number {
    return low + this.next() * (high - low);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(all: readonly T[]): T {
    return all[Math.floor(this.next() * all.length)] as T;
  }
}

// A world of a few seconds has some thousand.
const MOST_EVENTS = 100_000;

export class World {
  readonly dice: Dice;
  /** What happened, for the one who has to understand a failure. */
  readonly story: string[] = [];
  #nowMs = 0;
  #order = 0;
  readonly #heap: Event[] = [];

  constructor(seed: number) {
    this.dice = new Dice(seed);
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  tell(line: string): void {
    this.story.push(`${this.#nowMs.toFixed(1)} ${line}`);
  }

  at(atMs: number, run: () => void): void {
    this.#push({ atMs: Math.max(atMs, this.#nowMs), order: this.#order++, run });
  }

  in(delayMs: number, run: () => void): void {
    this.at(this.#nowMs + delayMs, run);
  }

  /** Lets the world go on until that time, or until `check`, which runs after every event, says
   *  that it is enough. */
  async run(untilMs: number, check: () => boolean): Promise<void> {
    for (let events = 0; ; events++) {
      if (events > MOST_EVENTS)
        throw new Error(`${String(events)} events and no end: somebody turns in circles`);
      const event = this.#heap[0];
      if (event === undefined || event.atMs > untilMs) break;
      this.#pop();
      this.#nowMs = event.atMs;
      event.run();
      // Everything that follows without time passing.
      await new Promise((resolve) => setImmediate(resolve));
      if (check()) return;
    }
    this.#nowMs = untilMs;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    heap.push(event);
    for (let at = heap.length - 1; at > 0;) {
      const parent = (at - 1) >> 1;
      if (!isBefore(heap[at], heap[parent])) return;
      swap(heap, at, parent);
      at = parent;
    }
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    heap[0] = last;
    for (let at = 0; ;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && isBefore(heap[child], heap[least])) least = child;
      }
      if (least === at) return;
      swap(heap, at, least);
      at = least;
    }
  }
}

function isBefore(a: Event | undefined, b: Event | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

function swap(heap: Event[], a: number, b: number): void {
  const [left, right] = [heap[a], heap[b]];
  if (left === undefined || right === undefined) return;
  heap[a] = right;
  heap[b] = left;
}

/** A process of the world: a clock that runs a little fast or slow, and code that may stand still. */
export class Process implements Clock {
  readonly name: string;
  readonly #world: World;
  readonly #rate: number;
  readonly #offsetMs: number;
  #isStoppedUntilMs = 0;
  #isDead = false;

  constructor(world: World, name: string, rate: number) {
    this.#world = world;
    this.name = name;
    this.#rate = rate;
    this.#offsetMs = world.dice.between(0, 1e6);
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#world.nowMs;
  }

  monotonicMs(): number {
    return this.#offsetMs + this.#world.nowMs * this.#rate;
  }

  /** The world's time of a moment on this process's clock. */
  worldMs(monotonicMs: number): number {
    return (monotonicMs - this.#offsetMs) / this.#rate;
  }

  after(delayMs: number, wake: () => void): () => void {
    if (delayMs === Infinity) return () => undefined;
    const alarm = { isOff: false };
    this.#world.in(Math.max(0, delayMs) / this.#rate, () => {
      this.run(() => {
        if (!alarm.isOff) wake();
      });
    });
    return () => {
      alarm.isOff = true;
    };
  }

  endOfTurn(work: () => void): void {
    this.#world.in(0, () => {
      this.run(work);
    });
  }

  /** Runs code of this process as soon as it can: never once it is dead. */
  run(work: () => void): void {
    if (this.#isDead) return;
    if (this.#world.nowMs >= this.#isStoppedUntilMs) work();
    else
      this.#world.at(this.#isStoppedUntilMs, () => {
        this.run(work);
      });
  }

  /** Its code stands still for so long; its clock runs on. */
  stop(forMs: number): void {
    this.#isStoppedUntilMs = Math.max(this.#isStoppedUntilMs, this.#world.nowMs + forMs);
  }

  kill(): void {
    this.#isDead = true;
  }

  get isDead(): boolean {
    return this.#isDead;
  }
}
