// Wakes those who wait: etcd tells of the keys that go. A stream that breaks is made anew, and
// then anything may have gone meanwhile.

import { sleep, type Clock } from "../../lock/clock.js";
import type { Streams } from "./calls.js";
import type { Cluster } from "./cluster.js";
import { EtcdFault } from "./faults.js";
import type { Keys } from "./keys.js";
import { Limit } from "./limit.js";

const FIRST_PAUSE_MS = 100;
const LAST_PAUSE_MS = 2000;
const OPENS_WITHIN_MS = 5000;

type Listener = (resource: string | undefined) => void;

export class Hints {
  readonly #cluster: Cluster;
  readonly #keys: Keys;
  readonly #clock: Clock;
  readonly #listeners = new Set<Listener>();
  #watching: AbortController | undefined;

  constructor(cluster: Cluster, keys: Keys, clock: Clock) {
    this.#cluster = cluster;
    this.#keys = keys;
    this.#clock = clock;
  }

  listen(mayBeFree: Listener): () => void {
    const listener: Listener = (resource) => {
      mayBeFree(resource);
    };
    this.#listeners.add(listener);
    if (this.#watching === undefined) {
      this.#watching = new AbortController();
      void this.#watch(this.#watching.signal);
    }
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.close();
    };
  }

  close(): void {
    this.#listeners.clear();
    this.#watching?.abort();
    this.#watching = undefined;
  }

  #tell(resource: string | undefined): void {
    for (const listener of [...this.#listeners]) listener(resource);
  }

  // Never rejects.
  async #watch(signal: AbortSignal): Promise<void> {
    let pauseMs = FIRST_PAUSE_MS;
    for (let isFirst = true; !signal.aborted; isFirst = false) {
      const onCreated = (): void => {
        pauseMs = FIRST_PAUSE_MS;
        if (!isFirst) this.#tell(undefined);
      };
      await this.#watchOnce(signal, onCreated).catch(() => undefined);
      await sleep(this.#clock, pauseMs, signal).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, LAST_PAUSE_MS);
    }
  }

  async #watchOnce(signal: AbortSignal, onCreated: () => void): Promise<void> {
    const limit = new Limit(this.#clock, OPENS_WITHIN_MS);
    // Finds a member that answers, and a login that is still known.
    const range = { ...this.#keys.heldRange(""), limit: 1, keys_only: true };
    await this.#cluster.ask("KV", "range", range, limit);
    const stream = await this.#cluster.stream("Watch", limit);
    const cancel = (): void => {
      stream.cancel();
    };
    signal.addEventListener("abort", cancel, { once: true });
    try {
      await this.#follow(stream, onCreated, signal);
    } finally {
      signal.removeEventListener("abort", cancel);
      stream.cancel();
    }
  }

  // Until it ends.
  #follow(stream: Streams["Watch"], onCreated: () => void, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      stream.on("error", (error) => {
        if (EtcdFault.from(error, "").isStaleLogin) this.#cluster.forgetLogin();
        resolve();
      });
      stream.on("end", resolve);
      stream.on("data", ({ created, canceled, events }) => {
        if (signal.aborted) return;
        if (created && !canceled) onCreated();
        for (const { kv } of events) this.#tell(this.#keys.heldResource(kv.key));
        if (canceled) resolve();
      });
      if (signal.aborted) stream.cancel();
      else {
        const filters = ["Noput" as const];
        stream.write({ create_request: { ...this.#keys.heldRange(""), filters } });
      }
    });
  }
}
