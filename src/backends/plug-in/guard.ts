// Between us and somebody else's backend: what breaks the port is an error that names the
// plug-in, at the place where it is broken, and never an answer.

import type {
  AcquireAnswer,
  AcquireAsk,
  Backend,
  BackendTraits,
  CurrentAnswer,
  Failed,
  HandOverAnswer,
  HandOverAsk,
  ListAnswer,
  ListAsk,
  ReleaseAnswer,
  ReleaseAsk,
  RenewAnswer,
  RenewAsk,
} from "../../lock/backend.js";
import { LockError, type ErrorKind } from "../../lock/errors.js";
import type { BackendSetup } from "../type.js";
import { firstLine } from "./find.js";
import {
  acquireFlaw,
  backendFlaw,
  leaseFlaw,
  looseOf,
  releaseFlaw,
  UNKNOWN,
  type Ask,
  type Loose,
} from "./flaws.js";

export interface Guard {
  /** @throws LockError when it is no backend */
  backend(given: unknown): Backend;
  /** @throws LockError when it is no setup */
  setup(given: unknown): BackendSetup;
  /** Makes an error of ours of whatever a plug-in throws. */
  error(thrown: unknown): LockError;
}

/** @param type what the configuration calls the plug-in */
export function guardOf(type: string): Guard {
  const violation = (what: string): LockError =>
    new LockError("internal", `the plug-in ${type} ${what}: that is a mistake in it`);
  const guard: Guard = {
    backend: (given) => {
      const flaw = backendFlaw(given);
      if (flaw === undefined) return new GuardedBackend(given as Backend, guard, violation);
      // Definite: waiting mends it no more than a mistake in the configuration.
      throw new LockError(
        "invalid-field",
        `the plug-in ${type} opens a backend ${flaw}: that is a mistake in it`,
        { field: "type" },
      );
    },
    setup: (given) => {
      const { text, run } = (given ?? {}) as Partial<BackendSetup>;
      if (typeof text !== "string" || typeof run !== "function") {
        throw violation("gives a setup without a text or a function run");
      }
      return {
        text,
        run: async (deps) => {
          try {
            return await (given as BackendSetup).run(deps);
          } catch (thrown) {
            throw guard.error(thrown);
          }
        },
      };
    },
    error: (thrown) => {
      if (thrown instanceof LockError) return thrown;
      if (isForeignLockError(thrown)) {
        const { kind, message, field } = thrown;
        const more = typeof field === "string" ? { field, cause: thrown } : { cause: thrown };
        return new LockError(kind, message, more);
      }
      const said = `the plug-in ${type} failed: ${firstLine(thrown)}`;
      return new LockError("unavailable", said, { cause: thrown });
    },
  };
  return guard;
}

// Does not compile until a new kind is in it.
const KINDS: Record<ErrorKind, true> = {
  "lock-held": true,
  "lease-lost": true,
  "invalid-field": true,
  "not-allowed": true,
  unreachable: true,
  unavailable: true,
  overloaded: true,
  cancelled: true,
  "timed-out": true,
  internal: true,
};

// A plug-in may have a copy of this package of its own, with a LockError of its own.
function isForeignLockError(thrown: unknown): thrown is LockError {
  if (!(thrown instanceof Error) || thrown.name !== "LockError" || !("kind" in thrown))
    return false;
  return typeof thrown.kind === "string" && Object.hasOwn(KINDS, thrown.kind);
}

class GuardedBackend implements Backend {
  readonly watch?: NonNullable<Backend["watch"]>;
  readonly handOver: Backend["handOver"];
  readonly #given: Backend;
  readonly #guard: Guard;
  readonly #violation: (what: string) => LockError;
  // Of what has nobody to be told at once.
  readonly #complaints = new Set<string>();

  constructor(given: Backend, guard: Guard, violation: (what: string) => LockError) {
    this.#given = given;
    this.#guard = guard;
    this.#violation = violation;
    // Where it is missing, waiters are woken by their alarms: it must be missing here, too.
    const watch = given.watch?.bind(given);
    if (watch !== undefined) this.watch = (mayBeFree) => this.#watch(() => watch(mayBeFree));
    const handOver = given.handOver?.bind(given);
    this.handOver = handOver && ((asks) => this.#handOver(asks, () => handOver(asks)));
  }

  get traits(): BackendTraits {
    return this.#given.traits;
  }

  get warnings(): readonly string[] {
    return [...(this.#given.warnings ?? []), ...this.#complaints];
  }

  acquire(asks: readonly AcquireAsk[]): Promise<readonly AcquireAnswer[]> {
    return this.#each("acquire", asks, () => this.#given.acquire(asks), acquireFlaw);
  }

  renew(asks: readonly RenewAsk[]): Promise<readonly RenewAnswer[]> {
    return this.#each(
      "renew",
      asks,
      () => this.#given.renew(asks),
      (ask, answer) => {
        if (answer["kind"] === "renewed") return leaseFlaw(answer["lease"], ask);
        return answer["kind"] === "lost" ? undefined : UNKNOWN;
      },
    );
  }

  release(asks: readonly ReleaseAsk[]): Promise<readonly ReleaseAnswer[]> {
    return this.#each("release", asks, () => this.#given.release(asks), releaseFlaw);
  }

  async #handOver(
    asks: readonly HandOverAsk[],
    ask: () => Promise<readonly HandOverAnswer[]>,
  ): Promise<readonly HandOverAnswer[]> {
    const answers = await this.#settled(ask);
    this.#refuseUnlessAll("handOver", answers, asks.length);
    return asks.map(({ release, acquire }, at): HandOverAnswer => {
      const given = looseOf(answers[at]);
      if (given["kind"] === "failed") return this.#failed(given);
      return {
        kind: "asked",
        release: this.#judged("handOver", release, given["release"] as ReleaseAnswer, releaseFlaw),
        acquire: this.#judged("handOver", acquire, given["acquire"] as AcquireAnswer, acquireFlaw),
      };
    });
  }

  async current(resources: readonly string[]): Promise<readonly CurrentAnswer[]> {
    const answers = await this.#settled(() => this.#given.current(resources));
    this.#refuseUnlessAll("current", answers, resources.length);
    return resources.map((resource, at) => {
      const answer = answers[at];
      const given = looseOf(answer);
      if (given["kind"] === "failed") return this.#failed(given);
      const flaw = answer === undefined ? undefined : leaseFlaw(answer, { resource });
      if (flaw === undefined) return answer;
      return { kind: "failed", error: this.#violation(`answered current with ${flaw}`) };
    });
  }

  async list(ask: ListAsk): Promise<readonly ListAnswer[]> {
    const answers = await this.#settled(() => this.#given.list(ask));
    const list: unknown = answers;
    if (!Array.isArray(list)) throw this.#violation("answered list with what is no list");
    return answers.map((answer): ListAnswer => {
      const given = looseOf(answer);
      const { resource } = given;
      if (given["kind"] === "failed" && typeof resource === "string") {
        return { ...this.#failed(given), resource };
      }
      const flaw = leaseFlaw(answer, {});
      if (flaw !== undefined) throw this.#violation(`answered list with ${flaw}`);
      return answer;
    });
  }

  async check(): Promise<void> {
    await this.#settled(() => this.#given.check());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#settled(() => this.#given[Symbol.asyncDispose]());
  }

  // A hint may be lost: whoever waits is woken by his alarm then.
  #watch(watch: () => () => void): () => void {
    const tried = (work: () => unknown): unknown => {
      try {
        return work();
      } catch (thrown) {
        this.#complaints.add(this.#guard.error(thrown).message);
        return undefined;
      }
    };
    const stop = tried(watch);
    return () => {
      if (typeof stop === "function")
        tried(() => {
          (stop as () => void)();
        });
    };
  }

  async #each<A extends Ask, Answer>(
    what: string,
    asks: readonly A[],
    ask: () => Promise<readonly Answer[]>,
    flawOf: (ask: A, answer: Loose) => string | undefined,
  ): Promise<readonly (Answer | Failed)[]> {
    const answers = await this.#settled(ask);
    this.#refuseUnlessAll(what, answers, asks.length);
    return asks.map((ask, at) => this.#judged(what, ask, answers[at] as Answer, flawOf));
  }

  #judged<A, Answer>(
    what: string,
    ask: A,
    answer: Answer,
    flawOf: (ask: A, answer: Loose) => string | undefined,
  ): Answer | Failed {
    const given = looseOf(answer);
    if (given["kind"] === "failed") return this.#failed(given);
    const flaw = flawOf(ask, given);
    if (flaw === undefined) return answer;
    return { kind: "failed", error: this.#violation(`answered ${what} with ${flaw}`) };
  }

  // The port's promise: "failed" comes with an error of ours.
  #failed(given: Loose): Failed {
    return { kind: "failed", error: this.#guard.error(given["error"]) };
  }

  #refuseUnlessAll(what: string, answers: unknown, asked: number): void {
    const given = Array.isArray(answers) ? answers.length : 0;
    if (Array.isArray(answers) && given === asked) return;
    throw this.#violation(`gave ${String(given)} answers to ${String(asked)} questions of ${what}`);
  }

  // Asked in here: a plug-in may throw before there is a promise.
  async #settled<T>(ask: () => PromiseLike<T>): Promise<T> {
    try {
      return await ask();
    } catch (thrown) {
      throw this.#guard.error(thrown);
    }
  }
}
