import type { Http2Session, Http2Stream } from "node:http2";
import type { Clock } from "../../lock/clock.js";

/** What reads from a connection, under node:http2 that uses it. */
interface Reader {
  readStop(): void;
  readStart(): void;
}

// What a heartbeat takes from its arrival to its acknowledgement: it is read, its store asked and
// heard, its answer written. All but one of these turns are short.
const TURNS_FOR_ONE = 4;

// Renewals and releases come on the same connections, which wait that long before they go first.
const LONGEST_MS = 500;

// A heartbeat that comes so late is in time even for the shortest ttl, whose period is 333 ms.
const LONGEST_WITH_HOLDS_MS = 100;

// Where many are overdue most have little to say: that share of them is read together.
const SHARE_OF_OVERDUE = 1 / 16;

/**
 * Connections that have asked for more than there is. One of them is read in every few turns of the
 * event loop: in a turn Node reads all that has come on each connection, some hundred calls, and the
 * heartbeats on other connections would wait for all of them to be refused. But what comes on these
 * is not acquires alone: a connection with Hold streams goes first, and of very many several are read
 * together, so that however many there are all have been read after some 64 turns.
 */
export class HeldBack {
  readonly #clock: Clock;
  readonly #withHolds = new Lane(LONGEST_WITH_HOLDS_MS);
  readonly #others = new Lane(LONGEST_MS);
  // How many Hold streams are open on a connection.
  readonly #holds = new WeakMap<Http2Session, number>();
  #turns = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Heartbeats come on this stream's connection, until it is closed. */
  expectHeartbeats(stream: Http2Stream): void {
    const { session } = stream;
    if (session === undefined) return;
    this.#holds.set(session, this.#holdsOf(session) + 1);
    stream.once("close", () => {
      this.#holds.set(session, this.#holdsOf(session) - 1);
    });
  }

  /** From now on nothing is read from this connection, until its turn comes. */
  add(session: Http2Session | undefined): void {
    const reader = readerOf(session);
    if (session === undefined || reader === undefined) return;
    if (this.#withHolds.has(reader) || this.#others.has(reader)) return;
    const isAlone = this.#isEmpty;
    const lane = this.#holdsOf(session) > 0 ? this.#withHolds : this.#others;
    lane.add(reader, this.#clock.monotonicMs());
    if (!isAlone) return;
    this.#turns = 0;
    this.#nextTurn();
  }

  get #isEmpty(): boolean {
    return this.#withHolds.size + this.#others.size === 0;
  }

  #holdsOf(session: Http2Session): number {
    return this.#holds.get(session) ?? 0;
  }

  #nextTurn(): void {
    this.#clock.endOfTurn(() => {
      this.#turns += 1;
      if (this.#turns % TURNS_FOR_ONE === 0) this.#readSome();
      if (!this.#isEmpty) this.#nextTurn();
    });
  }

  #readSome(): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.#withHolds.readOverdue(nowMs) + this.#others.readOverdue(nowMs) > 0) return;
    const isHolder = this.#withHolds.stoppedAtMs < this.#others.stoppedAtMs;
    (isHolder ? this.#withHolds : this.#others).readFirst();
  }
}

/** Those that may be held back for the same time, in the order in which they were stopped. */
class Lane {
  readonly #longestMs: number;
  // With when they were stopped.
  readonly #readers = new Map<Reader, number>();

  constructor(longestMs: number) {
    this.#longestMs = longestMs;
  }

  get size(): number {
    return this.#readers.size;
  }

  /** When the first was stopped; Infinity when there is none. */
  get stoppedAtMs(): number {
    for (const stoppedAtMs of this.#readers.values()) return stoppedAtMs;
    return Infinity;
  }

  has(reader: Reader): boolean {
    return this.#readers.has(reader);
  }

  add(reader: Reader, nowMs: number): void {
    reader.readStop();
    this.#readers.set(reader, nowMs);
  }

  readFirst(): void {
    for (const reader of this.#readers.keys()) {
      this.#readers.delete(reader);
      reader.readStart(); // harmless when the connection has ended
      return;
    }
  }

  /** @returns how many were read */
  readOverdue(nowMs: number): number {
    const most = Math.ceil(this.size * SHARE_OF_OVERDUE);
    let read = 0;
    while (read < most && nowMs - this.stoppedAtMs >= this.#longestMs) {
      this.readFirst();
      read += 1;
    }
    return read;
  }
}

// Not in the types: without it all are read as Node likes, and loops take longer.
function readerOf(session: Http2Session | undefined): Reader | undefined {
  if (session === undefined || session.destroyed) return undefined;
  const { _handle: reader } = session.socket as unknown as { readonly _handle?: Partial<Reader> };
  const isReader = typeof reader?.readStop === "function" && typeof reader.readStart === "function";
  return isReader ? (reader as Reader) : undefined;
}
