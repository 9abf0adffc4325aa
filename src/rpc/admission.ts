// Which acquires are begun, and when, where more of them come than can be answered.
//
//   A1. Only acquires come here: heartbeats, renewals, releases, reads and health never wait for
//       them. A grant that comes late costs its caller a moment, a renewal its holder the lock.
//   A2. In one turn of the event loop acquires are begun for TURN_MS at the most. The others stand
//       in line, first come first served, and whatever else has arrived is looked at in between.
//   A3. Once somebody has stood in line for BURST_MS this is no burst: more comes than can be
//       done. From then on, until nobody has been refused for as long, whoever comes while the
//       first in line has waited for QUICK_MS is refused at once, and so is whoever has stood in
//       line for STALE_MS when the turn comes: most of what is left of such a caller's time is gone.
//   A4. To refuse takes time, too. For every few that are refused one is begun, whatever A2 says:
//       a daemon that is asked for far too much does not spend all its time on saying no.
//   A5. Who has gone is not begun.
//   A6. While the first in line has waited for QUICK_MS, connections that bring acquires are read one
//       after the other (grpc/held-back.ts): what Node reads in one turn would all have to be refused
//       in it. None waits for longer than renewals and heartbeats that come on it can.
//   A7. Those on Hold streams stand in the same line (stream-acquires.ts).

import type { Clock } from "../lock/clock.js";

// As much again follows when their messages are read and answered: two of these, and what else a
// turn has to do, are within the 20 ms that a daemon under full load may take to look up.
const TURN_MS = 4;

// Thousands who come together, after a restart, are begun in less; and clients wait for longer.
const BURST_MS = 2000;

// A line this long keeps a daemon busy while it refuses, and makes nobody wait for long.
const QUICK_MS = 50;

const STALE_MS = 500;

// Ten milliseconds' worth.
const MOST_STALE_A_TURN = 200;

// Measured: to refuse costs a third to a half of what it costs to answer. So this leaves about
// half of the time for answers.
const REFUSED_FOR_ONE = 2;

// Who stands in line costs about 10 KiB, and collecting that much garbage takes time, too.
const LONGEST_LINE = 5000;

/** An acquire that has come, and is begun or refused: one of both, once, unless it is gone. */
export interface Arrival {
  readonly begin: () => void;
  readonly refuse: () => void;
  readonly isGone: () => boolean;
}

interface Waiting {
  readonly sinceMs: number;
  readonly arrival: Arrival;
}

export interface AdmissionOptions {
  readonly clock: Clock;
  /** Told when acquires begin to be refused, and when they no longer are: how many were. */
  readonly onChange: (isOverloaded: boolean, refused: number) => void;
}

/** The line of acquires before the lock service, over all doors of a daemon. */
export class Admission {
  readonly #clock: Clock;
  readonly #onChange: AdmissionOptions["onChange"];
  #line: Waiting[] = [];
  // Where in #line the first is: to shift a long array copies it.
  #first = 0;
  #turnBeganMs = 0;
  #isInTurn = false;
  #isOverloaded = false;
  #refused = 0;
  #refusedLastMs = 0;
  // How many must be begun in this turn (A4).
  #owed = 0;

  constructor({ clock, onChange }: AdmissionOptions) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /** How many stand in line. */
  get waiting(): number {
    return this.#line.length - this.#first;
  }

  /**
   * An acquire has come. It is begun or refused at once, or soon.
   * @returns whether more of them had better not come before those in line have been begun
   */
  enter(arrival: Arrival): { readonly isCrowded: boolean } {
    const nowMs = this.#clock.monotonicMs();
    if (this.#isOverloaded && nowMs - this.#refusedLastMs >= BURST_MS) this.#turnOver(false);
    if (!this.#isInTurn) this.#beginTurn(nowMs);
    const first = this.#line[this.#first];
    const waitedMs = first === undefined ? 0 : nowMs - first.sinceMs;
    if (first === undefined && nowMs - this.#turnBeganMs < TURN_MS) arrival.begin();
    else if (first !== undefined && this.#isTooMuch(waitedMs)) {
      this.#owed += 1 / REFUSED_FOR_ONE;
      this.#refuse(arrival, nowMs);
    } else this.#line.push({ sinceMs: nowMs, arrival });
    // A6
    return { isCrowded: waitedMs >= QUICK_MS };
  }

  #refuse(arrival: Arrival, nowMs: number): void {
    this.#refused += 1;
    this.#refusedLastMs = nowMs;
    arrival.refuse();
  }

  // A3
  #isTooMuch(waitedMs: number): boolean {
    const isFull = this.waiting >= LONGEST_LINE;
    if (!this.#isOverloaded && (waitedMs >= BURST_MS || isFull)) this.#turnOver(true);
    return isFull || (this.#isOverloaded && waitedMs >= QUICK_MS);
  }

  #turnOver(isOverloaded: boolean): void {
    this.#isOverloaded = isOverloaded;
    this.#onChange(isOverloaded, this.#refused);
    this.#refused = 0;
  }

  #beginTurn(nowMs: number): void {
    this.#isInTurn = true;
    this.#turnBeganMs = nowMs;
    this.#clock.endOfTurn(() => {
      this.#nextTurn();
    });
  }

  // A2, A4. Only while somebody is in line does one turn follow the other without a pause.
  #nextTurn(): void {
    this.#isInTurn = false;
    if (this.waiting === 0) return;
    this.#beginTurn(this.#clock.monotonicMs());
    let nowMs = this.#turnBeganMs;
    let stale = 0;
    while (nowMs - this.#turnBeganMs < TURN_MS || this.#owed >= 1) {
      const next = this.#line[this.#first];
      if (next === undefined || stale >= MOST_STALE_A_TURN) break;
      this.#first += 1;
      if (next.arrival.isGone()) continue; // A5
      if (this.#isOverloaded && nowMs - next.sinceMs >= STALE_MS) {
        this.#refuse(next.arrival, nowMs);
        stale += 1;
        continue;
      }
      next.arrival.begin();
      this.#owed -= 1;
      nowMs = this.#clock.monotonicMs();
    }
    this.#owed = 0;
    if (this.waiting > 0 && this.#first < 1000) return;
    this.#line = this.#line.slice(this.#first);
    this.#first = 0;
  }
}
