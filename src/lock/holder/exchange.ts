/** How something fares on the present stream. */
export type Standing =
  | "unknown"
  /** It stands in the queue of a daemon that knows who is before it. */
  | "queued"
  /** The daemon cannot answer now: its store does not. */
  | "put-off";

/** What was said of one lock on the present stream, and how that was answered. */
export class Exchange {
  #isSaid = false;
  #retryAtMs = -Infinity;
  #standing: Standing = "unknown";
  #trouble: string | undefined;

  get standing(): Standing {
    return this.#standing;
  }

  /** What a daemon has said last, on whichever stream, of why it cannot answer. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  get isSaid(): boolean {
    return this.#isSaid;
  }

  /** When there is something to say; Infinity when it has been said. */
  get dueAtMs(): number {
    return this.#isSaid ? Infinity : this.#retryAtMs;
  }

  say(): void {
    this.#isSaid = true;
  }

  /** It is to be said again, at once or later. */
  again(atMs = -Infinity): void {
    this.#isSaid = false;
    this.#retryAtMs = atMs;
  }

  /** There is another stream: all that was said is forgotten. */
  begin(): void {
    this.again();
    this.#standing = "unknown";
  }

  /** @param isKnown whether the daemon knows the holder; a store that is out does not tell */
  queue(isKnown: boolean): void {
    if (isKnown) this.#standing = "queued";
    else if (this.#standing === "queued") this.#standing = "unknown";
  }

  putOff(why: string): void {
    this.#standing = "put-off";
    this.#trouble = why;
  }

  /** It is answered. */
  settle(): void {
    this.#standing = "unknown";
    this.#trouble = undefined;
  }
}
