import type { Http2Session } from "node:http2";
import type { Clock } from "../../lock/clock.js";

/** What reads from a connection, under node:http2 that uses it. */
interface Reader {
  readStop(): void;
  readStart(): void;
}

// What a heartbeat takes from its arrival to its acknowledgement: it is read, its store asked and
// heard, its answer written. All but one of these turns are short.
const TURNS_FOR_ONE = 4;

/**
 * Connections that have asked for more than there is. One of them is read in every few turns of the
 * event loop: in a turn Node reads all that has come on each connection, some hundred calls, and the
 * heartbeats on other connections would wait for all of them to be refused.
 */
export class HeldBack {
  readonly #clock: Clock;
  readonly #readers = new Set<Reader>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** From now on nothing is read from this connection, until its turn comes. */
  add(session: Http2Session | undefined): void {
    const reader = readerOf(session);
    if (reader === undefined || this.#readers.has(reader)) return;
    reader.readStop();
    this.#readers.add(reader);
    if (this.#readers.size === 1) this.#next();
  }

  #next(turn = 1): void {
    this.#clock.endOfTurn(() => {
      if (turn < TURNS_FOR_ONE) {
        this.#next(turn + 1);
        return;
      }
      for (const reader of this.#readers) {
        this.#readers.delete(reader);
        reader.readStart(); // harmless when the connection has ended
        break;
      }
      if (this.#readers.size > 0) this.#next();
    });
  }
}

// Not in the types: without it all are read as Node likes, and loops take longer.
function readerOf(session: Http2Session | undefined): Reader | undefined {
  if (session === undefined || session.destroyed) return undefined;
  const { _handle: reader } = session.socket as unknown as { readonly _handle?: Partial<Reader> };
  const isReader = typeof reader?.readStop === "function" && typeof reader.readStart === "function";
  return isReader ? (reader as Reader) : undefined;
}
