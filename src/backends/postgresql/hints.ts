// Hears of other clients' releases, on a connection of its own.

import type { Clock } from "../../lock/clock.js";
import { sleep } from "../../lock/clock.js";
import { Limit } from "./limit.js";
import type { Connector, Ready } from "./lane.js";

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 5000;
// A connection that is lost without a word is noticed by asking on it.
const PULSE_MS = 15_000;

export type MayBeFree = (resource: string | undefined) => void;

/** Listens for as long as somebody wants to hear, and connects again when it is cut off. */
export class Hints implements AsyncDisposable {
  readonly #connector: Connector;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #isOurs: (processId: number) => boolean;
  readonly #listeners = new Set<MayBeFree>();
  #stop: AbortController | undefined;
  #running: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** @param isOurs whether a server's process answers this very client, which knows already */
  constructor(
    connector: Connector,
    clock: Clock,
    timeoutMs: number,
    isOurs: (processId: number) => boolean,
  ) {
    this.#connector = connector;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#isOurs = isOurs;
  }

  listen(mayBeFree: MayBeFree): () => void {
    const listener: MayBeFree = (resource) => {
      mayBeFree(resource);
    };
    if (this.#isClosed) return () => undefined;
    this.#listeners.add(listener);
    if (this.#stop === undefined) {
      this.#stop = new AbortController();
      const { signal } = this.#stop;
      this.#running = this.#running.then(() => this.#run(signal));
    }
    return () => {
      if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
      this.#stop?.abort();
      this.#stop = undefined;
    };
  }

  #tell(resource: string | undefined): void {
    for (const mayBeFree of this.#listeners) mayBeFree(resource);
  }

  async #run(signal: AbortSignal): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    for (;;) {
      try {
        await using listening = await this.#connect();
        retryMs = FIRST_RETRY_MS;
        this.#tell(undefined); // What was released before was not heard.
        await this.#pulse(listening, signal);
      } catch {
        // A hint lost: those who wait look by themselves now and then.
      }
      const goesOn = await sleep(this.#clock, retryMs, signal).then(
        () => true,
        () => false,
      );
      if (!goesOn) return;
      retryMs = Math.min(2 * retryMs, LONGEST_RETRY_MS);
    }
  }

  async #connect(): Promise<Ready["session"]> {
    const limit = new Limit(this.#clock, this.#timeoutMs);
    const { session, channel } = await this.#connector(limit);
    session.onNotification = ({ processId, payload = "" }) => {
      if (this.#isOurs(processId)) return;
      if (payload === "") this.#tell(undefined);
      else for (const name of payload.split(" ")) this.#tell(Buffer.from(name, "hex").toString());
    };
    try {
      await session.ask(`LISTEN "${channel}"`, [], limit);
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
    return session;
  }

  async #pulse(session: Ready["session"], signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const end = AbortSignal.any([signal, over.signal]);
    void session.ended.then(() => {
      over.abort();
    });
    while (!end.aborted) {
      const isTime = await sleep(this.#clock, PULSE_MS, end).then(
        () => true,
        () => false,
      );
      if (isTime) await session.ask("SELECT 1", [], new Limit(this.#clock, this.#timeoutMs));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#listeners.clear();
    this.#stop?.abort();
    this.#stop = undefined;
    await this.#running;
  }
}
