import type { Clock } from "./clock.js";
import type { OpenLink } from "./link.js";

// How soon the next address is tried when all have failed: doubled from the first to the second.
const FIRST_BACKOFF_MS = 50;
const LAST_BACKOFF_MS = 1000;

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
