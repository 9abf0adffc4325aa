import { LockError } from "../../lock/errors.js";
import { loadDriver } from "./driver.js";
import { explain } from "./faults.js";
import { openHostClock } from "./host-clock.js";
import { isRead, type Answers, type ReadQuestion, type WriteQuestion } from "./messages.js";
import { watchReleases } from "./release-watch.js";
import { Store } from "./store.js";
import type { StoreDesk } from "./thread.js";

/**
 * A store in the thread of whoever asks. Each question blocks it: for a process that asks one or
 * two and ends, to start a thread would take longer than everything else. (A disk that hangs
 * holds up the end of such a process either way.)
 */
export class StoreHere implements StoreDesk {
  readonly #path: string;
  readonly #busyMs: number;
  readonly #onReleased: () => void;
  #store: Store | undefined;
  #stopWatching: (() => void) | undefined;

  constructor(
    { path, busyMs }: { readonly path: string; readonly busyMs: number },
    onReleased: () => void,
  ) {
    this.#path = path;
    this.#busyMs = busyMs;
    this.#onReleased = onReleased;
  }

  async open(): Promise<void> {
    const driver = await loadDriver();
    this.#guarded(() => {
      const options = { path: this.#path, busyMs: this.#busyMs, clock: openHostClock() };
      const store = new Store(driver, { ...options, isLasting: false });
      store.open();
      this.#store = store;
    });
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- throws as the thread's does
  async ask<Q extends WriteQuestion | ReadQuestion>(question: Q): Promise<Answers[Q[0]]> {
    return this.#guarded((): Answers[Q[0]] => {
      if (this.#store === undefined)
        throw new LockError("unavailable", `the store ${this.#path} has been closed here`);
      const [answer] = isRead(question)
        ? this.#store.read([question])
        : this.#store.write([question]);
      return answer as Answers[Q[0]];
    });
  }

  watch(isWanted: boolean): void {
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    if (!isWanted || this.#store === undefined) return;
    this.#stopWatching = watchReleases(this.#store, this.#onReleased);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.watch(false);
    this.#store?.close();
    this.#store = undefined;
    return Promise.resolve();
  }

  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw new LockError("unavailable", explain(error, this.#path));
    }
  }
}
