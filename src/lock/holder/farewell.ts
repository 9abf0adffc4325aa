/** What came of a release. "unknown": nobody has answered, or a "not held" may be its own doing. */
export type ReleaseOutcome = "released" | "not-held" | "unknown";

// How long a release, or the refusal of a wait that is over, may stay unanswered: long enough for
// a daemon to be restarted.
export const FAREWELL_MS = 5000;

// The same for a lease that nobody believes in, or never has: it ends by itself, and whoever has
// given it up wants to go.
const SHORT_FAREWELL_MS = 1000;

/** The letting go of one lock: from when on, how often it was said, and for how long yet. */
export class Farewell {
  /** When it is to be said. */
  atMs = -Infinity;
  #endsMs = Infinity;
  #hurriedMs = Infinity;
  #times = 0;

  /** @param wasKept whether somebody has relied on it until now */
  begin(atMs: number, wasKept: boolean): void {
    this.atMs = atMs;
    this.#endsMs = atMs + (wasKept ? FAREWELL_MS : SHORT_FAREWELL_MS);
  }

  /** Whoever lets go wants to be gone by then. */
  hurry(untilMs: number): void {
    this.#hurriedMs = Math.min(this.#hurriedMs, untilMs);
  }

  /** When no answer is waited for any more. */
  get endsMs(): number {
    return Math.min(this.#endsMs, this.#hurriedMs);
  }

  say(): void {
    this.#times += 1;
  }

  /** What was said last has reached nobody. */
  takeBack(): void {
    this.#times -= 1;
  }

  /** What an answer means: "not held" is news only where nothing was said before. */
  meaning(answer: "released" | "not-held"): ReleaseOutcome {
    return answer === "not-held" && this.#times > 1 ? "unknown" : answer;
  }
}
