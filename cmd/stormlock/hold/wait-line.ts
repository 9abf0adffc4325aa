import type { LockError } from "../../../src/lock/errors.js";
import type { Lease } from "../../../src/lock/lease.js";
import { systemClock } from "../../../src/system-clock.js";
import type { Scene } from "../command.js";
import { waitingFor } from "../waiting.js";

// How long a wait must take before anything is said of it.
const FIRST_WORD_MS = 400;

/** What is said while a lock is waited for: a line kept up to date on a terminal, else one line. */
export class WaitLine {
  readonly #resource: string;
  readonly #scene: Scene;
  readonly #canRewrite: boolean;
  readonly #stopWaiting: () => void;
  #news: { readonly position: number; readonly holder: Lease | undefined } | undefined;
  #isDue = false;
  #isSaid = false;

  constructor(resource: string, scene: Scene) {
    this.#resource = resource;
    this.#scene = scene;
    const { output, env, isTerminal } = scene;
    this.#canRewrite = !output.isJson && env["TERM"] !== "dumb" && isTerminal(2);
    this.#stopWaiting = systemClock.after(FIRST_WORD_MS, () => {
      this.#isDue = true;
      this.#tell();
    });
  }

  hear(position: number, holder: Lease | undefined): void {
    this.#news = { position, holder };
    if (this.#isDue) this.#tell();
  }

  /** No daemon answers, and the wait goes on. */
  hearNothing({ message }: LockError): void {
    if (!this.#isDue) return;
    const words = `waiting for ${this.#resource}: ${message}; asking again`;
    if (this.#canRewrite) this.#scene.output.status(words);
    else this.#scene.output.note(words);
  }

  stop(): void {
    this.#stopWaiting();
    this.#isDue = false;
    this.#scene.output.clearStatus();
  }

  #tell(): void {
    if (this.#news === undefined || (this.#isSaid && !this.#canRewrite)) return;
    const { position, holder } = this.#news;
    const where = `you are ${ordinal(position)}`;
    const words =
      holder === undefined
        ? `waiting for ${this.#resource}, ${where}`
        : `${waitingFor(this.#resource, holder, systemClock.wallMs())}, ${where}`;
    this.#isSaid = true;
    if (this.#canRewrite) this.#scene.output.status(words);
    else this.#scene.output.note(words);
  }
}

function ordinal(count: number): string {
  const isTeen = count % 100 > 10 && count % 100 < 14;
  const ending = isTeen ? "th" : (["th", "st", "nd", "rd"][count % 10] ?? "th");
  return `${String(count)}${ending}`;
}
