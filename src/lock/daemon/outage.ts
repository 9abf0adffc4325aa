/** How long a store may go on failing before those who wait are told. */
const ASK_PATIENCE_MS = 10_000;

// How soon a failed ask is repeated: doubled from the first to the second.
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2000;

/** A store that fails, as one line sees it. */
export class Outage {
  #sinceMs: number | undefined;
  #retryMs = FIRST_RETRY_MS;

  get isOn(): boolean {
    return this.#sinceMs !== undefined;
  }

  /** An ask has failed. @returns whether to give up, and when to ask again otherwise */
  failed(nowMs: number): { readonly isHopeless: boolean; readonly retryMs: number } {
    this.#sinceMs ??= nowMs;
    const retryMs = this.#retryMs;
    this.#retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
    return { isHopeless: nowMs - this.#sinceMs >= ASK_PATIENCE_MS, retryMs };
  }

  /** The store has answered. */
  end(): void {
    this.#sinceMs = undefined;
    this.#retryMs = FIRST_RETRY_MS;
  }
}
