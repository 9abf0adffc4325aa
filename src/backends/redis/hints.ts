// Hears of releases, on a connection of its own: one that listens cannot ask. A hint may be
// lost, so nothing but speed rests on it; whenever listening begins (again), anything may have
// become free.

import type { Clock } from "../../lock/clock.js";
import type { Endpoint } from "./address.js";
import { connect, type Access, type Client } from "./driver.js";

export interface HintsOptions {
  readonly access: Access;
  readonly channel: string;
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Undefined: any resource may have become free. */
  readonly onHint: (resource: string | undefined) => void;
}

const PAUSE_MS = { least: 100, most: 5000 } as const;

// A connection that leads nowhere any more looks like one on which nothing is released.
const PING_EVERY_MS = 10_000;

/** Listens from now on until disposed. */
export class Hints implements AsyncDisposable {
  readonly #options: HintsOptions;
  readonly #stop = new AbortController();
  readonly #listening: Promise<void>;

  constructor(options: HintsOptions) {
    this.#options = options;
    this.#listening = this.#listen();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("nobody listens any more"));
    await this.#listening;
  }

  async #listen(): Promise<void> {
    const { endpoints, kind } = this.#options.access.address;
    // Any node of a cluster hears what is told to any other.
    const wanted = kind === "sentinel" ? endpoints.slice(0, 1) : endpoints;
    let pauseMs: number = PAUSE_MS.least;
    for (let turn = 0; !this.#stop.signal.aborted; turn++) {
      const endpoint = wanted[turn % wanted.length];
      const hasListened = endpoint !== undefined && (await this.#listenTo(endpoint));
      pauseMs = hasListened ? PAUSE_MS.least : Math.min(pauseMs * 2, PAUSE_MS.most);
      await this.#pause(pauseMs * (0.5 + Math.random() / 2));
    }
  }

  /** Until the connection ends. @returns whether it ever stood */
  async #listenTo(endpoint: Endpoint): Promise<boolean> {
    const { access, channel, timeoutMs, onHint } = this.#options;
    const { signal } = this.#stop;
    let client: Client | undefined;
    try {
      client = await this.#inTime((late) =>
        connect(access, endpoint, { withinMs: timeoutMs, signal: AbortSignal.any([signal, late]) }),
      );
      client.on("message", (_channel: string, resource: string) => {
        if (resource !== "") onHint(resource); // The empty one is a check's.
      });
      const ended = new Promise<void>((resolve) => client?.once("close", resolve));
      await this.#inTime(() => Promise.race([client?.subscribe(channel), ended]));
      onHint(undefined);
      await this.#untilEnd(client, ended);
      return true;
    } catch {
      return false; // Tried again after a pause.
    } finally {
      client?.disconnect();
    }
  }

  async #untilEnd(client: Client, ended: Promise<void>): Promise<void> {
    const stopped = new Promise<void>((resolve) => {
      this.#stop.signal.addEventListener("abort", () => {
        resolve();
      });
    });
    const over = Promise.race([ended, stopped]);
    for (;;) {
      await Promise.race([over, this.#pause(PING_EVERY_MS)]);
      if (this.#stop.signal.aborted || client.status !== "ready") return;
      await this.#inTime(() => Promise.race([client.ping(), over]));
    }
  }

  async #inTime<T>(work: (late: AbortSignal) => Promise<T>): Promise<T> {
    const late = new AbortController();
    const rejected = new Promise<never>((_, reject) => {
      late.signal.addEventListener("abort", () => {
        reject(late.signal.reason as Error);
      });
    });
    const cancel = this.#options.clock.after(this.#options.timeoutMs, () => {
      late.abort(new Error("no answer"));
    });
    try {
      return await Promise.race([work(late.signal), rejected]);
    } finally {
      cancel();
    }
  }

  // Ends early, without complaint, when nobody listens any more.
  #pause(ms: number): Promise<void> {
    const { signal } = this.#stop;
    return new Promise((resolve) => {
      if (signal.aborted) {
        resolve();
        return;
      }
      const end = (): void => {
        cancel();
        signal.removeEventListener("abort", end);
        resolve();
      };
      const cancel = this.#options.clock.after(ms, end);
      signal.addEventListener("abort", end, { once: true });
    });
  }
}
