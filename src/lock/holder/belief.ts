// What a holder may believe about one lease.
//
//   K1. Belief ends at t0 + valid·(1−ρ) − δ, where t0 was read before the heartbeat was sent that
//       the answer echoes: validity never counts from an answer.
//   K2. Lost is final: a late answer revives nothing, and no answer moves the end back.
//   K9. Belief does not begin with a lease that is nearly over: a grant that a slow store has held
//       up for long waits for the next answer. Who begins to rely on a lock needs time to do so.
//   K3. The end is looked up on the clock whenever it is asked about: a blocked event loop, a
//       suspended process and a late timer all find the truth.

import type { Clock } from "../clock.js";
import { holderDeadlineMs } from "./deadline.js";

/**
 * `PENDING`: granted, but not yet confirmed by an answer that came in time. `AT_RISK`: still
 * held, but half a ttl has gone by without a confirmation.
 */
export type HoldState = "PENDING" | "HELD" | "AT_RISK" | "LOST" | "RELEASED";

/** No confirmation for this share of the ttl puts a lease at risk. */
const RISK_SHARE = 1 / 2;

/** Belief begins with at least this share of what a grant without any delay would give. */
const BEGIN_SHARE = 1 / 2;

/** With this share of the ttl left to the deadline somebody else must be asked. */
const URGENT_SHARE = 1 / 4;
// No daemon is given less than this to answer.
const LEAST_PATIENCE_MS = 250;

/** When belief ends; as in deadline.ts. */
export type DeadlineRule = typeof holderDeadlineMs;

export class Belief {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #deadlineOf: DeadlineRule;
  #confirmedAtMs = -Infinity;
  // How long the last confirmation took.
  #lagMs = 0;
  #deadlineMs = -Infinity;
  #validUntilMs = -Infinity;
  #end: "LOST" | "RELEASED" | undefined;

  constructor(clock: Clock, ttlMs: number, deadlineOf: DeadlineRule = holderDeadlineMs) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
    this.#deadlineOf = deadlineOf;
  }

  /** On the holder's clock: from then on somebody else may hold it. */
  get deadlineMs(): number {
    return this.#deadlineMs;
  }

  /** When half a ttl will have gone by without a confirmation. */
  get riskAtMs(): number {
    return this.#confirmedAtMs + RISK_SHARE * this.#ttlMs;
  }

  /** When the lease ends by itself, unless a renewal that we do not know of succeeded. */
  get validUntilMs(): number {
    return this.#validUntilMs;
  }

  /**
   * When a stream must be left for another one, because it has not confirmed this lease: with a
   * quarter of the ttl left, and on a stream that is younger than that, with half of what was left
   * when it was opened; but not before the next confirmation could have come if it takes as long
   * as the last one, and half as long again. Infinity when that is too late to try.
   * @param periodMs how often heartbeats are sent
   */
  urgentAtMs(openedAtMs: number, periodMs: number): number {
    const { state } = this;
    if (state !== "HELD" && state !== "AT_RISK") return Infinity;
    const atMs = Math.max(
      this.#deadlineMs - URGENT_SHARE * this.#ttlMs,
      (openedAtMs + this.#deadlineMs) / 2,
      openedAtMs + LEAST_PATIENCE_MS,
      this.#confirmedAtMs + periodMs + Math.max(LEAST_PATIENCE_MS, 1.5 * this.#lagMs),
    );
    return atMs < this.#deadlineMs ? atMs : Infinity;
  }

  get state(): HoldState {
    if (this.#end !== undefined) return this.#end;
    if (this.#deadlineMs === -Infinity) return "PENDING";
    const nowMs = this.#clock.monotonicMs();
    if (nowMs >= this.#deadlineMs) {
      this.#end = "LOST"; // K2, K3
      return "LOST";
    }
    return nowMs >= this.riskAtMs ? "AT_RISK" : "HELD";
  }

  get isHeld(): boolean {
    const { state } = this;
    return state === "HELD" || state === "AT_RISK";
  }

  /**
   * Takes in an answer.
   * @param sentAtMs t0 of the heartbeat that it echoes
   * @returns whether the end has moved
   */
  confirm(sentAtMs: number, validForMs: number): boolean {
    const { state } = this;
    if (state === "LOST" || state === "RELEASED") return false; // K2
    const deadlineMs = this.#deadlineOf(sentAtMs, validForMs, this.#ttlMs);
    this.#validUntilMs = Math.max(this.#validUntilMs, sentAtMs + validForMs);
    const nowMs = this.#clock.monotonicMs();
    if (deadlineMs <= nowMs || deadlineMs <= this.#deadlineMs) return false;
    if (state === "PENDING" && deadlineMs < this.#beginMs(nowMs)) return false; // K9
    this.#confirmedAtMs = Math.max(this.#confirmedAtMs, sentAtMs);
    this.#lagMs = nowMs - sentAtMs;
    this.#deadlineMs = deadlineMs;
    return true;
  }

  // Where the deadline must be for belief to begin.
  #beginMs(nowMs: number): number {
    const freshMs = this.#deadlineOf(nowMs, this.#ttlMs, this.#ttlMs) - nowMs;
    return nowMs + BEGIN_SHARE * freshMs;
  }

  /** Ends belief; what has ended stays as it ended. */
  end(how: "LOST" | "RELEASED"): void {
    if (this.state !== "LOST") this.#end ??= how;
  }
}
