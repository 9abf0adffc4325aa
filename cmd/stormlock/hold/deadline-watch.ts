import { earlier, later, msUntil, type HostMoment, type HostTime } from "./host-time.js";

// A timer does not count the time for which the host was suspended: look often enough.
const LONGEST_STEP_MS = 250;

export interface DeadlineWatchOptions {
  readonly time: HostTime;
  /** How long before the deadline the processes are asked to end; 0 for never. */
  readonly graceMs: number;
  readonly deadline: HostMoment;
  /**
   * Whether a deadline ends the processes by itself, as it does when this is left out. Otherwise
   * they end when `endNow` or somebody else says so, and have the whole grace for it if the
   * deadline has passed by then.
   */
  readonly endsAtDeadline?: boolean;
  /** How much later than that to ask, for the second of two watches. */
  readonly terminateLateMs?: number;
  /** Asks the processes to end. Called once at most. */
  readonly terminate: () => void;
  /** Ends them. Called once at most. */
  readonly kill: () => void;
}

/**
 * Ends processes in time. The guardian runs one, and the wrapper a second one, in case the
 * guardian is killed or stopped.
 *   W1. They are asked at the deadline minus the grace and killed at the deadline.
 *   W2. A timer that fires lets everything unread be read first: a newer deadline may be
 *       waiting there.
 *   W3. What has begun goes on: whoever was asked to end is killed after the grace, or at the
 *       deadline that held then, and no newer deadline brings him back.
 *   W4. Nobody is asked whose deadline has passed; he is killed at once.
 */
export class DeadlineWatch {
  readonly #options: DeadlineWatchOptions;
  #phase: "watching" | "terminating" | "killing" | "stopped" = "watching";
  #deadline: HostMoment;
  #cancelTimer: () => void = () => undefined;

  constructor(options: DeadlineWatchOptions) {
    this.#options = options;
    this.#deadline = options.deadline;
    this.#arm();
  }

  get phase(): "watching" | "terminating" | "killing" | "stopped" {
    return this.#phase;
  }

  /** How long it is until the processes are killed, if nothing changes. */
  get leftMs(): number {
    return msUntil(this.#deadline, this.#options.time.now());
  }

  /** Whether it is time to ask the processes to end, or later than that. */
  get isDue(): boolean {
    return this.leftMs <= this.#options.graceMs;
  }

  /** Puts another deadline in the place of the last one. */
  extend(deadline: HostMoment): void {
    if (this.#phase !== "watching") return; // W3
    this.#deadline = deadline;
    this.#arm();
  }

  /** Asks the processes to end now, and kills them after the grace or at the deadline. */
  endNow(): void {
    if (this.#phase !== "watching") return;
    if (this.#endsAtDeadline && this.#isPast) this.#kill();
    else this.#terminate();
  }

  /** Somebody else has asked the processes to end: goes on from there. */
  hasBeenTerminated(): void {
    if (this.#phase === "watching") this.#beginTerminating();
  }

  stop(): void {
    this.#phase = "stopped";
    this.#cancelTimer();
  }

  get #endsAtDeadline(): boolean {
    return this.#options.endsAtDeadline ?? true;
  }

  get #isPast(): boolean {
    return this.leftMs <= 0;
  }

  #arm(): void {
    this.#cancelTimer();
    if (this.#phase === "watching" && !this.#endsAtDeadline) return;
    const { leftMs } = this;
    const untilDueMs = this.#phase === "watching" ? leftMs - this.#askMs : leftMs;
    // Rounded up: a timer that fires early has only to be set again.
    const stepMs = Math.ceil(Math.max(0, Math.min(untilDueMs, LONGEST_STEP_MS)));
    this.#cancelTimer = this.#options.time.after(stepMs, () => {
      this.#options.time.afterPoll(() => {
        this.#look(); // W2
      });
    });
  }

  /** How long before the deadline this watch asks. */
  get #askMs(): number {
    return Math.max(0, this.#options.graceMs - (this.#options.terminateLateMs ?? 0));
  }

  #look(): void {
    if (this.#phase !== "watching" && this.#phase !== "terminating") return;
    const { leftMs } = this;
    if (leftMs <= 0)
      this.#kill(); // W1, W4
    else if (this.#phase === "watching" && leftMs <= this.#askMs) this.#terminate();
    else this.#arm();
  }

  #beginTerminating(): void {
    this.#phase = "terminating";
    const graceEnds = later(this.#options.time.now(), this.#options.graceMs);
    const isBound = this.#endsAtDeadline || !this.#isPast;
    this.#deadline = isBound ? earlier(this.#deadline, graceEnds) : graceEnds; // W3
    this.#arm();
  }

  #terminate(): void {
    this.#beginTerminating();
    this.#options.terminate();
  }

  #kill(): void {
    this.#phase = "killing";
    this.#cancelTimer();
    this.#options.kill();
  }
}
