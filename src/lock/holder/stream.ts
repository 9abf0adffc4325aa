import type { Clock } from "../clock.js";
import type { HoldLink } from "./link.js";

/** One open stream to a daemon, as its holder knows it: what was sent when, and what was heard. */
export class Stream {
  readonly link: HoldLink;
  readonly openedAtMs: number;
  /** The ids of the leases that were granted on it (K4). */
  readonly granted = new Set<string>();
  readonly #clock: Clock;
  // When each heartbeat that may still be echoed was sent.
  readonly #sentAtMs = new Map<number, number>();
  #lastBeatAtMs = -Infinity;
  #heardAtMs = -Infinity;
  #ackedSeq: number;

  /** @param lastSeq the newest heartbeat before it, which was sent on another one */
  constructor(link: HoldLink, clock: Clock, lastSeq: number) {
    this.link = link;
    this.#clock = clock;
    this.openedAtMs = clock.monotonicMs();
    this.#ackedSeq = lastSeq;
  }

  /** When the newest heartbeat was sent. */
  get lastBeatAtMs(): number {
    return this.#lastBeatAtMs;
  }

  beat(seq: number): void {
    this.#lastBeatAtMs = this.#clock.monotonicMs();
    this.#sentAtMs.set(seq, this.#lastBeatAtMs); // K1: before it is sent
    this.link.say({ kind: "heartbeat", seq });
  }

  /** The daemon has said something. Tells how long the stream lives by now. */
  hear(): number {
    this.#heardAtMs = this.#clock.monotonicMs();
    return this.#heardAtMs - this.openedAtMs;
  }

  /** When a heartbeat was sent that the daemon echoes; undefined for none that was sent here. */
  sentAtMs(seq: number): number | undefined {
    return this.#sentAtMs.get(seq);
  }

  /** A heartbeat is acknowledged, and with it all before. */
  acknowledge(seq: number): void {
    this.#ackedSeq = seq;
    for (const each of this.#sentAtMs.keys()) if (each < seq) this.#sentAtMs.delete(each);
  }

  /** Whether the daemon has said anything. */
  get isHeard(): boolean {
    return this.#heardAtMs !== -Infinity;
  }

  /** When the oldest unanswered heartbeat was sent; Infinity when all are answered. */
  get silentSinceMs(): number {
    for (const [seq, sentAtMs] of this.#sentAtMs) if (seq > this.#ackedSeq) return sentAtMs;
    return Infinity;
  }

  /** Until when the oldest unanswered heartbeat may stay so; Infinity when all are answered (K8). */
  silentUntilMs(silenceMs: number): number {
    const sinceMs = this.silentSinceMs;
    // Where an answer takes longer than a period, the one to the heartbeat before comes after this
    // one was sent, and this one's a period later: with jitter, a little more.
    const isSpeaking = this.#heardAtMs > sinceMs;
    const spokenMs = isSpeaking ? this.#heardAtMs + 1.5 * silenceMs : sinceMs + silenceMs;
    return Math.min(spokenMs, sinceMs + 2 * silenceMs);
  }
}
