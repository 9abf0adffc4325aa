/**
 * Tells the manager when a caller goes. An AbortSignal is one; where many thousand a second are
 * asked for whose callers nearly all stay, a Departure is far lighter.
 */
export interface DepartureSignal {
  readonly aborted: boolean;
  addEventListener(type: "abort", gone: () => void, options: { readonly once: true }): void;
  removeEventListener(type: "abort", gone: () => void): void;
}

/** One caller who may go. It is listened to by one. */
export class Departure implements DepartureSignal {
  #isGone = false;
  #gone: (() => void) | undefined;

  get aborted(): boolean {
    return this.#isGone;
  }

  addEventListener(_type: "abort", gone: () => void): void {
    this.#gone = gone;
  }

  removeEventListener(_type: "abort", gone: () => void): void {
    if (this.#gone === gone) this.#gone = undefined;
  }

  /** The caller goes. Only the first time counts. */
  depart(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#gone?.();
    this.#gone = undefined;
  }
}
