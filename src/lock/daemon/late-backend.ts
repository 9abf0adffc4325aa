// A backend that is opened as soon as its store can be had: a daemon may start before its stores
// do, and says "not ready" until then.
//   O1. One attempt at a time. Whoever asks meanwhile has its answer for his own; an attempt ends
//       within the backend's own time limit, as a call does (B8).
//   O2. After an attempt that failed there is none for a while: who asks then is told the same
//       reason at once, so that many callers do not storm a store that is just coming up.
//   O3. Nothing is attempted by itself: waiters and the daemon's look at its own readiness ask
//       often enough.

import type {
  AcquireAnswer,
  AcquireAsk,
  Backend,
  BackendTraits,
  CurrentAnswer,
  Failed,
  ListAnswer,
  ListAsk,
  ReleaseAnswer,
  ReleaseAsk,
  RenewAnswer,
  RenewAsk,
} from "../backend.js";
import type { Clock } from "../clock.js";
import { asLockError, LockError } from "../errors.js";
import { watchFor } from "./hints.js";

const PAUSE_MS = 1000;

export interface LateBackendOptions {
  /** What it is called for as long as it is not open. */
  readonly name: string;
  readonly type: string;
  /** @throws LockError, with one line that says what is wrong and what to do */
  readonly open: () => Promise<Backend>;
  readonly clock: Clock;
}

type State =
  | { readonly kind: "opening"; readonly attempt: Promise<Backend> }
  | { readonly kind: "open"; readonly backend: Backend }
  | { readonly kind: "failed"; readonly error: LockError; readonly atMs: number };

export class LateBackend implements Backend {
  readonly #options: LateBackendOptions;
  // Who watches, and, once there is something to watch, how that is ended.
  readonly #watchers = new Map<(resource: string | undefined) => void, () => void>();
  #state: State | undefined;
  #isClosed = false;

  constructor(options: LateBackendOptions) {
    this.#options = options;
  }

  /** Tries to open it. What is wrong, where it could not be; it is tried again when asked. */
  async tryToOpen(): Promise<LockError | undefined> {
    return await this.#opened().then(() => undefined, asLockError);
  }

  /** While it is not open nothing is known of the store: then any ttl is let through to it. */
  get traits(): BackendTraits {
    if (this.#state?.kind === "open") return this.#state.backend.traits;
    const { type, name } = this.#options;
    return { type, place: name, minTtlMs: 0, takeoverSlackMs: 0 };
  }

  get warnings(): readonly string[] {
    return this.#state?.kind === "open" ? (this.#state.backend.warnings ?? []) : [];
  }

  acquire(asks: readonly AcquireAsk[]): Promise<readonly AcquireAnswer[]> {
    return this.#each(asks, (backend) => backend.acquire(asks));
  }

  renew(asks: readonly RenewAsk[]): Promise<readonly RenewAnswer[]> {
    return this.#each(asks, (backend) => backend.renew(asks));
  }

  release(asks: readonly ReleaseAsk[]): Promise<readonly ReleaseAnswer[]> {
    return this.#each(asks, (backend) => backend.release(asks));
  }

  get handOver(): Backend["handOver"] {
    const { backend } = this.#state?.kind === "open" ? this.#state : {};
    return backend?.handOver?.bind(backend);
  }

  async current(resources: readonly string[]): Promise<readonly CurrentAnswer[]> {
    return (await this.#opened()).current(resources);
  }

  async list(ask: ListAsk): Promise<readonly ListAnswer[]> {
    return (await this.#opened()).list(ask);
  }

  watch(mayBeFree: (resource: string | undefined) => void): () => void {
    // One that is its own: the same function may watch twice.
    const watcher = (resource: string | undefined): void => {
      mayBeFree(resource);
    };
    this.#watchers.set(watcher, ignore);
    if (this.#state?.kind === "open") this.#attach(watcher, this.#state.backend);
    return () => {
      this.#watchers.get(watcher)?.();
      this.#watchers.delete(watcher);
    };
  }

  /** Opens the store where that has not been done, and asks it. */
  async check(): Promise<void> {
    await (await this.#opened()).check();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const state = this.#state;
    // What an attempt opens after this, it closes again itself.
    if (state?.kind === "opening") await state.attempt.catch(ignore);
    if (state?.kind === "open") await state.backend[Symbol.asyncDispose]();
  }

  async #each<Answer>(
    asks: readonly unknown[],
    ask: (backend: Backend) => Promise<readonly (Answer | Failed)[]>,
  ): Promise<readonly (Answer | Failed)[]> {
    let backend: Backend;
    try {
      backend = await this.#opened();
    } catch (thrown) {
      const failed: Failed = { kind: "failed", error: asLockError(thrown) };
      return asks.map(() => failed);
    }
    return ask(backend);
  }

  #opened(): Promise<Backend> {
    const state = this.#state;
    if (state?.kind === "open") return Promise.resolve(state.backend);
    if (state?.kind === "opening") return state.attempt; // O1
    if (this.#isClosed) {
      return Promise.reject(new LockError("unavailable", `${this.#options.name} is closed`));
    }
    const nowMs = this.#options.clock.monotonicMs();
    if (state !== undefined && nowMs - state.atMs < PAUSE_MS) return Promise.reject(state.error); // O2
    const attempt = this.#attempt();
    this.#state = { kind: "opening", attempt };
    return attempt;
  }

  async #attempt(): Promise<Backend> {
    const { open, clock, name } = this.#options;
    try {
      const backend = await open();
      if (this.#isClosed) {
        await backend[Symbol.asyncDispose]();
        throw new LockError("unavailable", `${name} is closed`);
      }
      this.#state = { kind: "open", backend };
      for (const watcher of this.#watchers.keys()) {
        this.#attach(watcher, backend);
        // What became free before was not seen.
        watcher(undefined);
      }
      return backend;
    } catch (thrown) {
      const error = asLockError(thrown);
      this.#state = { kind: "failed", error, atMs: clock.monotonicMs() };
      throw error;
    }
  }

  #attach(watcher: (resource: string | undefined) => void, backend: Backend): void {
    this.#watchers.set(watcher, watchFor(backend, watcher));
  }
}

function ignore(): void {
  // Nothing to end, nothing to tell.
}
