// DynamoDB has no clock that a condition could ask, so leases end by the clocks of the hosts,
// which must agree. Every answer carries the store's time in its Date header: by that a clock
// that is off is found out, before it takes a lock from its holder.
//
//   C1. The store's time is followed on the monotonic clock, so that a wall clock that is moved
//       between two answers is noticed at the next call.
//   C2. One answer tells whole seconds only; each narrows what the ones before have told.
//   C3. Two clocks that are each within half of the declared skew of the store's are within the
//       whole of it of each other.

import type { Clock } from "../../lock/clock.js";
import { formatDuration } from "../../lock/duration.js";
import { LockError } from "../../lock/errors.js";

// A header is cut to the second, and servers write it a little late.
const HEADER_STEP_MS = 1000;
const HEADER_LATE_MS = 100;

// How fast a monotonic clock may run away from the store's time: 0.1 %, above what any does.
const DRIFT = 0.001;

/** The store's time less the monotonic one is between these. */
interface Bounds {
  readonly leastMs: number;
  readonly mostMs: number;
  readonly atMs: number;
}

export class ClockWatch {
  readonly #clock: Clock;
  readonly #place: string;
  readonly #limitMs: number;
  #bounds: Bounds | undefined;

  constructor(clock: Clock, place: string, maxClockSkewMs: number) {
    this.#clock = clock;
    this.#place = place;
    this.#limitMs = maxClockSkewMs / 2; // C3
  }

  /** Learns from an answer's Date header; the times are monotonic. */
  note(date: string | undefined, sentAtMs: number, receivedAtMs: number): void {
    const dateMs = Date.parse(date ?? "");
    if (Number.isNaN(dateMs)) return;
    const leastMs = dateMs - receivedAtMs;
    const mostMs = dateMs + HEADER_STEP_MS + HEADER_LATE_MS - sentAtMs;
    const known = this.#boundsAt(receivedAtMs);
    const both = {
      leastMs: Math.max(leastMs, known?.leastMs ?? -Infinity),
      mostMs: Math.min(mostMs, known?.mostMs ?? Infinity),
    };
    // What contradicts all before it is believed alone: the store's own clock was set.
    const bounds = both.leastMs <= both.mostMs ? both : { leastMs, mostMs };
    this.#bounds = { ...bounds, atMs: receivedAtMs }; // C2
  }

  /**
   * This host's wall clock in µs, for deciding who holds what.
   * @throws LockError "unavailable" when it is off
   */
  nowUs(): number {
    const wallMs = this.#clock.wallMs();
    const refusal = this.refusal(this.#limitMs, wallMs);
    if (refusal !== undefined) throw refusal;
    return Math.floor(wallMs * 1000);
  }

  /** What to say of this host's wall clock if it is further off than this. */
  refusal(limitMs: number, wallMs = this.#clock.wallMs()): LockError | undefined {
    const monotonicMs = this.#clock.monotonicMs();
    const bounds = this.#boundsAt(monotonicMs); // C1
    if (bounds === undefined) return undefined;
    const aheadMs = wallMs - monotonicMs - bounds.mostMs;
    const behindMs = monotonicMs + bounds.leastMs - wallMs;
    if (aheadMs > limitMs) return this.#refusal(aheadMs, "ahead of");
    return behindMs > limitMs ? this.#refusal(behindMs, "behind") : undefined;
  }

  #boundsAt(monotonicMs: number): Bounds | undefined {
    const bounds = this.#bounds;
    if (bounds === undefined) return undefined;
    const driftMs = Math.max(0, monotonicMs - bounds.atMs) * DRIFT;
    const { leastMs, mostMs } = bounds;
    return { leastMs: leastMs - driftMs, mostMs: mostMs + driftMs, atMs: monotonicMs };
  }

  #refusal(offMs: number, way: string): LockError {
    const off = formatDuration(Math.max(100, Math.round(offMs / 100) * 100));
    const limit = formatDuration(this.#limitMs);
    return new LockError(
      "unavailable",
      `this host's clock is at least ${off} ${way} that of ${this.#place}, more than the ${limit} (half of max_clock_skew) at which locks are safe: set it right, e.g. with NTP`,
    );
  }
}
