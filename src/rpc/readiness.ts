import type { Clock } from "../lock/clock.js";
import { asLockError } from "../lock/errors.js";

// A store that has not answered for so long is as good as none.
const PATIENCE_MS = 5000;

// An answer is as good as new for so long, however many ask: anybody may, and each asks all stores.
const FRESH_MS = 1000;

// How often the answer is renewed for those who only watch.
const PERIOD_MS = 10_000;

export interface ReadinessOptions {
  readonly clock: Clock;
  /** Rejects with one line that says what is wrong. */
  readonly check: () => Promise<void>;
  /** Told when the answer has changed, with what is wrong if something is. */
  readonly onChange: (isReady: boolean, complaint?: string) => void;
}

/** Whether this daemon can do its work. */
export class Readiness {
  readonly #clock: Clock;
  readonly #check: () => Promise<void>;
  readonly #onChange: ReadinessOptions["onChange"];
  // The newest answer, or the one that is under way.
  #answer: Promise<string | undefined> | undefined;
  #freshUntilMs = Infinity;
  #wasReady = true;
  #isDraining = false;
  #stop: () => void = () => undefined;

  constructor({ clock, check, onChange }: ReadinessOptions) {
    this.#clock = clock;
    this.#check = check;
    this.#onChange = onChange;
    this.#watch();
  }

  /** What is wrong, in one line; undefined when nothing is. */
  async complaint(): Promise<string | undefined> {
    if (this.#isDraining) return "draining: this daemon is about to stop";
    if (this.#answer === undefined || this.#clock.monotonicMs() >= this.#freshUntilMs) {
      this.#freshUntilMs = Infinity; // until it is there
      this.#answer = this.#ask().finally(() => {
        this.#freshUntilMs = this.#clock.monotonicMs() + FRESH_MS;
      });
    }
    return this.#answer;
  }

  /** Not ready from now on. */
  drain(): void {
    this.#isDraining = true;
    this.#stop();
    this.#tell(false);
  }

  #ask(): Promise<string | undefined> {
    return new Promise((resolve) => {
      const settle = (complaint: string | undefined): void => {
        giveUp();
        if (!this.#isDraining) this.#tell(complaint === undefined, complaint);
        resolve(complaint);
      };
      const giveUp = this.#clock.after(PATIENCE_MS, () => {
        settle(`the store has not answered within ${String(PATIENCE_MS / 1000)} s`);
      });
      this.#check().then(
        () => {
          settle(undefined);
        },
        (thrown: unknown) => {
          settle(asLockError(thrown).message.split("\n")[0] ?? "not ready");
        },
      );
    });
  }

  #tell(isReady: boolean, complaint?: string): void {
    if (isReady === this.#wasReady) return;
    this.#wasReady = isReady;
    this.#onChange(isReady, complaint);
  }

  #watch(): void {
    void this.complaint().then(() => {
      if (this.#isDraining) return;
      this.#stop = this.#clock.after(PERIOD_MS, () => {
        this.#watch();
      });
    });
  }
}
