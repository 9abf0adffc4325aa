// Those who listen to each signal.
const listeners = new WeakMap<AbortSignal, Listeners>();

/**
 * Calls back when a signal aborts; not when it has done so before. All who listen in this way are one
 * listener to the signal: eleven of them Node takes for a leak, and says so to whoever runs the
 * program, who has merely waited for eleven locks with one signal.
 * @param aborted must not throw
 * @returns what ends it; harmless however often
 */
export function onAbort(signal: AbortSignal, aborted: () => void): () => void {
  let all = listeners.get(signal);
  if (all === undefined) {
    all = new Listeners(signal);
    listeners.set(signal, all);
  }
  return all.add(aborted);
}

class Listeners {
  readonly #signal: AbortSignal;
  readonly #all = new Set<{ readonly aborted: () => void }>();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", this.#tell, { once: true });
  }

  add(aborted: () => void): () => void {
    const one = { aborted };
    this.#all.add(one);
    return () => {
      if (this.#all.delete(one) && this.#all.size === 0) this.#end();
    };
  }

  // Who is told may end the listening of others who are not told yet.
  readonly #tell = (): void => {
    for (const one of this.#all) {
      this.#all.delete(one);
      one.aborted();
    }
    this.#end();
  };

  #end(): void {
    this.#signal.removeEventListener("abort", this.#tell);
    if (listeners.get(this.#signal) === this) listeners.delete(this.#signal);
  }
}
