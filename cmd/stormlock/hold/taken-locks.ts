import { setTimeout as pause } from "node:timers/promises";
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

/** A lock that is being kept. */
export type Hold = Extract<HoldResult, { kind: "granted" }>["hold"];

/** The locks of one command line: taken in their order, all or none, and given back together. */
export class TakenLocks implements AsyncDisposable {
  readonly #holds: Hold[] = [];

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
    for (const resource of order.resources) {
      const result = await takeOne(resource, order, asked, scene, signal, untilMs);
      if (result.kind === "held") return result.message;
      this.#holds.push(result.hold);
      checkGrace(order, result.hold.lease.ttlMs);
    }
    return undefined;
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

  /** Gives all of them back. Never rejects; what cannot be given back ends with its ttl. */
  async release(): Promise<void> {
    await Promise.all(this.#holds.splice(0).map((each) => each.release()));
  }

  /** The same for somebody who wants to go: he is kept no longer than a second. */
  async releaseSoon(): Promise<void> {
    await Promise.race([this.release(), pause(FAREWELL_MS)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

async function takeOne(
  resource: string,
  { ttlMs, reason }: Order,
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
      onQueued: (position, holder) => {
        telling.hear(position, holder);
      },
    });
  } finally {
    telling.stop();
  }
}
