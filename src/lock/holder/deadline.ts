// When a holder must stop believing that it holds.
//
//   The store grants to another no earlier than `valid` after the daemon last asked it to renew,
//   and the daemon asked no earlier than the holder sent (t0). So a holder whose own clock says
//   less than t0 + valid holds, if both clocks run at the same rate. They do not quite: hence ρ.
//   And a holder needs a moment to act on it: hence δ.

/** ρ: by how much the rates of two clocks may differ. Crystals drift by 0.01 %; a clock that is
 *  being slewed by NTP by 0.05 %. One percent leaves room for a bad virtual machine. */
export const CLOCK_RATE_ERROR = 0.01;

/** δ is at least this, and at least MARGIN_SHARE of the ttl. */
export const LEAST_MARGIN_MS = 100;
export const MARGIN_SHARE = 0.05;

/**
 * The holder's deadline: t0 + valid·(1−ρ) − δ, on the holder's monotonic clock.
 * @param sentAtMs t0: when the holder sent what the answer echoes, read before it was sent
 * @param validForMs how long the lease is valid, as the answer says
 * @param ttlMs the lease's ttl
 */
export function holderDeadlineMs(sentAtMs: number, validForMs: number, ttlMs: number): number {
  const marginMs = Math.max(LEAST_MARGIN_MS, MARGIN_SHARE * ttlMs);
  return sentAtMs + validForMs * (1 - CLOCK_RATE_ERROR) - marginMs;
}
