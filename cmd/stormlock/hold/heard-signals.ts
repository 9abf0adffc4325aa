import { LockError } from "../../../src/lock/errors.js";
import { ENDING_SIGNALS, forwardSignals, listenFor } from "./signals.js";

/**
 * The signals that this process gets while it wants, has or gives back locks. From `listen` on none
 * of them ends it where it stands: a lock that nobody gives back keeps others waiting for its ttl.
 *   N1. Until a command has begun, the first one ends the wait: nothing is run.
 *   N2. While a command runs they are the command's.
 *   N3. Later ones change nothing any more. Whoever sends one is in a hurry, and told so.
 */
export class HeardSignals implements Disposable {
  readonly #stop = new AbortController();
  readonly #listening: Disposable[] = [];
  #phase: "waiting" | "running" | "leaving" = "waiting";
  #stoppedBy: NodeJS.Signals | undefined;
  #hurried: () => void = () => undefined;

  listen(): void {
    this.#listening.push(
      listenFor(ENDING_SIGNALS, (signal) => {
        if (this.#phase === "waiting") this.#end(signal);
        else if (this.#phase === "leaving") this.#hurried();
      }),
    );
  }

  /** Aborts with the first signal that comes before a command has begun (N1). */
  get stop(): AbortSignal {
    return this.#stop.signal;
  }

  /** That signal. */
  get stoppedBy(): NodeJS.Signals | undefined {
    return this.#stoppedBy;
  }

  /**
   * Waits for something, but no longer than until a signal ends the wait.
   * @throws LockError "cancelled" then
   */
  async orStopped<T>(done: Promise<T>): Promise<T> {
    const { signal } = this.#stop;
    const stopped = new Promise<never>((_, reject) => {
      const onAbort = (): void => {
        reject(signal.reason as LockError);
      };
      if (signal.aborted) onAbort();
      else signal.addEventListener("abort", onAbort, { once: true });
    });
    const result = await Promise.race([done, stopped]);
    signal.throwIfAborted();
    return result;
  }

  /** A command begins: passes on to it what it does not get anyway (N2). */
  forward(hasTerminal: boolean, forward: (signal: NodeJS.Signals) => void): void {
    this.#phase = "running";
    const isRunning = (): boolean => this.#phase === "running";
    this.#listening.push(
      forwardSignals(hasTerminal, (signal) => {
        if (isRunning()) forward(signal);
      }),
    );
  }

  /** What there was to do is done, and the locks are given back: hears of every later one (N3). */
  leave(hurried: () => void): void {
    this.#phase = "leaving";
    this.#hurried = hurried;
  }

  [Symbol.dispose](): void {
    for (const listening of this.#listening) listening[Symbol.dispose]();
  }

  #end(signal: NodeJS.Signals): void {
    if (this.#stoppedBy !== undefined) return;
    this.#stoppedBy = signal;
    this.#stop.abort(new LockError("cancelled", `stopped by ${signal}`));
  }
}
