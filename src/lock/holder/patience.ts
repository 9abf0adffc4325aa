import { LockError } from "../errors.js";

/** What it has to know of a wait, and to tell it. */
interface Waiting {
  readonly resource: string;
  /** Whether its caller still waits to hear. */
  readonly isOpen: boolean;
  readonly askedSinceMs: number;
  /** When it is over even if daemons speak of other things. */
  readonly giveUpAtMs: number;
  /** Whether it goes on although nobody answers: a place in a queue is not given up for that. */
  readonly outlastsSilence: boolean;
  /** What a daemon has said last of why it cannot be had yet. */
  readonly trouble: string | undefined;
  refuse(error: LockError): void;
  /** Nobody answers, and it goes on all the same. */
  onSilence(error: LockError): void;
}

/** For how long those who wait are left alone before they are told that nobody answers. */
export class Patience {
  readonly #ms: number;
  // Since when nobody answers; undefined while somebody does.
  #aloneSinceMs: number | undefined;
  // Who has been told so.
  #told = new WeakSet<Waiting>();
  #last: LockError | undefined;

  constructor(ms: number) {
    this.#ms = ms;
  }

  /** Something was asked that wants an answer. */
  begin(nowMs: number): void {
    this.#aloneSinceMs ??= nowMs;
  }

  /** A daemon speaks. */
  end(): void {
    if (this.#aloneSinceMs !== undefined) this.#told = new WeakSet();
    this.#aloneSinceMs = undefined;
  }

  /** An address has failed. */
  note(error: LockError): void {
    this.#last = error;
  }

  /**
   * Ends a wait that has been in vain for long enough, or tells it so.
   * @param silenceMs how long a daemon that is being talked to has to answer
   */
  look(waiting: Waiting, nowMs: number, silenceMs: number): void {
    if (nowMs < this.lookAtMs(waiting, silenceMs)) return;
    if (nowMs >= waiting.giveUpAtMs || !waiting.outlastsSilence) {
      waiting.refuse(this.#reason(waiting));
      return;
    }
    this.#told.add(waiting);
    waiting.onSilence(this.#reason(waiting));
  }

  /**
   * When there is something to do about a wait. A daemon with nothing to say is no reason, only one
   * that leaves a heartbeat unanswered. A wait that is over is refused by the daemon itself, if
   * there is one.
   */
  lookAtMs(waiting: Waiting, silenceMs: number): number {
    if (!waiting.isOpen) return Infinity;
    if (this.#told.has(waiting)) return waiting.giveUpAtMs;
    const sinceMs = Math.max(waiting.askedSinceMs, this.#aloneSinceMs ?? Infinity);
    return Math.min(sinceMs + Math.max(this.#ms, silenceMs), waiting.giveUpAtMs);
  }

  // Why a wait is in vain.
  #reason({ resource, trouble }: Waiting): LockError {
    const isAlone = this.#aloneSinceMs !== undefined;
    const known = isAlone ? (this.#last?.message ?? trouble) : (trouble ?? this.#last?.message);
    const why = known ?? `no daemon has answered whether ${resource} can be had`;
    const kind = isAlone && this.#last?.kind === "unreachable" ? "unreachable" : "unavailable";
    return new LockError(kind, why, { cause: this.#last });
  }
}
