import type { Clock } from "../clock.js";
import type { OpenLink } from "./link.js";

// How soon the next address is tried when all have failed: doubled from the first to the second.
const FIRST_BACKOFF_MS = 50;
const LAST_BACKOFF_MS = 1000;

// K10. With every address tried for that, the next move comes no sooner than this after the one
// before: doubled from the first to the second. After a calm time all is as at the beginning.
const FIRST_STAY_MS = 1000;
const LAST_STAY_MS = 60_000;
const CALM_MS = 2 * LAST_STAY_MS;

export interface RouteOptions {
  /** One for each address, in the order of preference. */
  readonly links: readonly OpenLink[];
  readonly clock: Clock;
  /** From 0 to 1: spreads the reconnects of many holders. */
  readonly random: () => number;
}

/** Which address a holder's next stream goes to, and when. */
export class Route {
  readonly #links: readonly OpenLink[];
  readonly #clock: Clock;
  readonly #random: () => number;
  #address = 0;
  #failures = 0;
  #connectAtMs = -Infinity;
  #moves = 0;
  #movedAtMs = -Infinity;

  constructor({ links, clock, random }: RouteOptions) {
    this.#links = links;
    this.#clock = clock;
    this.#random = random;
  }

  /** The way to the address whose turn it is. */
  get open(): OpenLink | undefined {
    return this.#links[this.#address % this.#links.length];
  }

  /** When the next stream may be opened. */
  get connectAtMs(): number {
    return this.#connectAtMs;
  }

  /** How often all addresses have failed, one after the other. */
  get rounds(): number {
    return Math.floor(this.#failures / this.#links.length);
  }

  /** When an address that answers may be left for the next: never, when there is no other (K10). */
  get mayMoveAtMs(): number {
    const others = this.#links.length - 1;
    if (others === 0) return Infinity;
    if (this.#moves < others) return -Infinity;
    return this.#movedAtMs + Math.min(FIRST_STAY_MS * 2 ** (this.#moves - others), LAST_STAY_MS);
  }

  /** An address that answers is left, because its answers are of no use. */
  move(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#moves = nowMs - this.#movedAtMs >= CALM_MS ? 1 : this.#moves + 1;
    this.#movedAtMs = nowMs;
    this.#address += 1;
    this.#connectAtMs = nowMs;
  }

  /** An address has failed. A round over all of them comes without a pause; the next one waits. */
  fail(): void {
    this.#address += 1;
    this.#failures += 1;
    const rounds = this.#failures / this.#links.length;
    const pauseMs = Number.isInteger(rounds)
      ? Math.min(FIRST_BACKOFF_MS * 2 ** (rounds - 1), LAST_BACKOFF_MS)
      : 0;
    this.#connectAtMs = this.#clock.monotonicMs() + pauseMs * (0.5 + this.#random() / 2);
  }

  /** The daemon speaks. Only a stream that has lived for a while makes the failures before it
   *  forgotten: one that answers and then closes must not be asked in a hurry. */
  succeed(livedMs: number): void {
    if (livedMs >= LAST_BACKOFF_MS) this.#failures = 0;
  }
}
