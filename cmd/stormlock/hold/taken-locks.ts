import type { HoldResult } from "../../../src/rpc/client-contract.js";
import type { LockClient } from "../../../src/rpc/client.js";
import { systemClock } from "../../../src/system-clock.js";
import type { Asked } from "../ask.js";
import type { Scene } from "../command.js";
import { deadlineOn, type HostMoment } from "./host-time.js";
import { checkGrace, type Order } from "./order.js";
import { WaitLine } from "./wait-line.js";

// What nobody relies on any more may stay unanswered no longer than this.
const FAREWELL_MS = 1000;

// One that was taken has been lost before all were.
const LOST = Symbol("lost");

/** A lock that is being kept. */
export type Hold = Extract<HoldResult, { kind: "granted" }>["hold"];

/**
 * The locks of one command line: taken in their order, all or none, and given back together.
 *   T1. One that is lost while the next is waited for is noticed at once: the others go back, too,
 *       and all are taken again, within what is left of the wait.
 *   T2. A daemon that has answered once may be gone for as long as the wait lasts.
 */
export class TakenLocks implements AsyncDisposable {
  readonly #holds: Hold[] = [];
  // Those of an earlier round, that are being given back.
  readonly #leaving = new Set<Hold>();
  #isHeard = false;

  /** In the order in which they were taken. */
  get holds(): readonly Hold[] {
    return this.#holds;
  }

  /** Whether every one is held now, by the clock. */
  get areHeld(): boolean {
    return this.#holds.every(({ isHeld }) => isHeld);
  }

  /** The earliest of all deadlines, on the clock of this process. */
  get deadlineMs(): number {
    return Math.min(...this.#holds.map(({ deadlineMs }) => deadlineMs));
  }

  /** The same, so that other processes understand it. */
  get deadline(): HostMoment {
    return deadlineOn(systemClock, this.deadlineMs);
  }

  /** The shortest of all. */
  get ttlMs(): number {
    return Math.min(...this.#holds.map(({ lease }) => lease.ttlMs));
  }

  /**
   * Takes them. What has been taken before something goes wrong is given back by `release`.
   * @returns why they cannot be had, when somebody else has one of them
   */
  async take(
    order: Order,
    asked: Asked<LockClient>,
    scene: Scene,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const untilMs = systemClock.monotonicMs() + order.waitMs;
    for (;;) {
      const refusal = await this.#takeAll(order, asked, scene, signal, untilMs);
      if (refusal !== LOST) return refusal;
      const lost = this.#holds.filter(({ isHeld }) => !isHeld).map(({ resource }) => resource);
      scene.output.note(
        `the lock on ${lost.join(", ")} was lost while another was waited for: taking all again`,
      );
      for (const hold of this.#holds.splice(0)) {
        this.#leaving.add(hold);
        void hold.release().then(() => this.#leaving.delete(hold));
      }
    }
  }

  async #takeAll(
    order: Order,
    asked: Asked<LockClient>,
    scene: Scene,
    signal: AbortSignal,
    untilMs: number,
  ): Promise<string | typeof LOST | undefined> {
    for (const resource of order.resources) {
      using stop = new FirstAbort([signal, ...this.#holds.map((hold) => hold.signal)]);
      try {
        const result = await this.#takeOne(resource, order, asked, scene, stop.signal, untilMs);
        if (result.kind === "held") return result.message;
        this.#isHeard = true;
        this.#holds.push(result.hold);
        checkGrace(order, result.hold.lease.ttlMs);
      } catch (thrown) {
        if (!stop.signal.aborted || signal.aborted) throw thrown;
      }
      if (!this.areHeld) return LOST; // T1
    }
    return undefined;
  }

  async #takeOne(
    resource: string,
    { ttlMs, reason, work }: Order,
    { client, principalFor, defaultTtlMs }: Asked<LockClient>,
    scene: Scene,
    signal: AbortSignal,
    untilMs: number,
  ): Promise<HoldResult> {
    const wishedTtlMs = ttlMs ?? defaultTtlMs;
    const telling = new WaitLine(resource, scene);
    try {
      return await client.hold(resource, {
        principal: principalFor(resource),
        waitMs: Math.max(0, untilMs - systemClock.monotonicMs()),
        ...{ reason, signal },
        ...(wishedTtlMs === undefined ? {} : { ttlMs: wishedTtlMs }),
        outlastsSilence: this.#isHeard || (work.kind === "sidecar" && work.isAgain), // T2
        onQueued: (position, holder) => {
          this.#isHeard = true;
          telling.hear(position, holder);
        },
        onSilence: (error) => {
          telling.hearNothing(error);
        },
      });
    } finally {
      telling.stop();
    }
  }

  /** Calls back whenever one has another state or deadline; returns what ends that. */
  watch(changed: (hold: Hold) => void): () => void {
    const stops = this.#holds.map((hold) =>
      hold.watch(() => {
        changed(hold);
      }),
    );
    return () => {
      for (const stop of stops) stop();
    };
  }

  /**
   * Gives all of them back. Never rejects; what cannot be given back ends with its ttl.
   * @returns those that had been lost by then, without anybody's having noticed
   */
  async release(): Promise<readonly string[]> {
    return await this.#release({});
  }

  /** The same for somebody who wants to go: he is kept no longer than a second. */
  async releaseSoon(): Promise<readonly string[]> {
    return await this.#release({ patienceMs: FAREWELL_MS });
  }

  /** Keeps them no longer and gives none back: they end with their ttl. */
  abandon(): void {
    for (const hold of this.#holds.splice(0)) hold.abandon();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  async #release(options: { readonly patienceMs?: number }): Promise<readonly string[]> {
    const outcomes = this.#holds.map(async (hold) => {
      return (await hold.release(options)) === "not-held" ? hold.resource : undefined;
    });
    await Promise.all([...this.#leaving].map((hold) => hold.release(options)));
    return (await Promise.all(outcomes)).filter((resource) => resource !== undefined);
  }
}

/** Aborts with the first of several, and leaves nothing behind at those that live on. */
class FirstAbort implements Disposable {
  readonly #first = new AbortController();
  readonly #signals: readonly AbortSignal[];
  readonly #abort = (): void => {
    this.#first.abort();
  };

  constructor(signals: readonly AbortSignal[]) {
    this.#signals = signals;
    for (const each of signals) {
      if (each.aborted) this.#abort();
      else each.addEventListener("abort", this.#abort);
    }
  }

  get signal(): AbortSignal {
    return this.#first.signal;
  }

  [Symbol.dispose](): void {
    for (const each of this.#signals) each.removeEventListener("abort", this.#abort);
  }
}
