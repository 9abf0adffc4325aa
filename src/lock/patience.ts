import { LockError } from "./errors.js";

/** What it has to know of a wait. */
interface Waiting {
  readonly resource: string;
  readonly askedSinceMs: number;
  /** When it is over even if daemons speak of other things. */
  readonly giveUpAtMs: number;
  /** What a daemon has said last of why it cannot be had yet. */
  readonly trouble: string | undefined;
}

/** For how long those who wait are left alone before they are told that nobody answers. */
export class Patience {
  readonly #ms: number;
  // Since when nobody answers; undefined while somebody does.
  #aloneSinceMs: number | undefined;
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
    this.#aloneSinceMs = undefined;
  }

  /** An address has failed. */
  note(error: LockError): void {
    this.#last = error;
  }

  /**
   * When a wait is to be given up. A daemon with nothing to say is no reason, only one that leaves
   * a heartbeat unanswered. A wait that is over is refused by the daemon itself, if there is one.
   * @param silenceMs how long a daemon that is being talked to has to answer
   */
  endsMs({ askedSinceMs, giveUpAtMs }: Waiting, silenceMs: number): number {
    const sinceMs = Math.max(askedSinceMs, this.#aloneSinceMs ?? Infinity);
    return Math.min(sinceMs + Math.max(this.#ms, silenceMs), giveUpAtMs);
  }

  /** Why a wait has been given up. */
  reason({ resource, trouble }: Waiting): LockError {
    const isAlone = this.#aloneSinceMs !== undefined;
    const known = isAlone ? (this.#last?.message ?? trouble) : (trouble ?? this.#last?.message);
    const why = known ?? `no daemon has answered whether ${resource} can be had`;
    const kind = isAlone && this.#last?.kind === "unreachable" ? "unreachable" : "unavailable";
    return new LockError(kind, why, { cause: this.#last });
  }
}
