// Many leases, held over the streams of several clients, and what becomes of each.

import { setTimeout as pause } from "node:timers/promises";
import { connect, type Hold, type LockClient } from "../../src/index.js";
import { systemClock } from "../../src/system-clock.js";

const CLIENTS = 4;
const SAMPLE_MS = 50;
// No more than a small server can do within the time that a holder waits.
const AT_ONCE = 40;
// How long a store may take to come back to its senses before the first of them is granted.
const PATIENCE_MS = 30_000;

export interface HoldersOptions {
  readonly address: string;
  /** What their names begin with. */
  readonly prefix: string;
  readonly count: number;
  readonly ttlMs: number;
}

/** The holders' clock, and the daemon's and the test's too: all are on one host. */
export function nowMs(): number {
  return systemClock.monotonicMs();
}

/** One lease and its end, by the holder's clock. */
export interface Held {
  readonly hold: Hold;
  readonly token: bigint;
  /** When it turned LOST; undefined while it has not. */
  lostAtMs: number | undefined;
  /** When its holder last said that it is held. */
  claimedAtMs: number;
}

export class Holders implements AsyncDisposable {
  readonly all: readonly Held[];
  readonly #clients: readonly LockClient[];
  readonly #sampling: NodeJS.Timeout;

  private constructor(clients: readonly LockClient[], holds: readonly Hold[]) {
    this.#clients = clients;
    this.all = holds.map((hold) => {
      const held: Held = { hold, token: hold.token, lostAtMs: undefined, claimedAtMs: nowMs() };
      hold.watch(() => {
        if (hold.state === "LOST") held.lostAtMs ??= nowMs();
      });
      return held;
    });
    this.#sampling = setInterval(() => {
      for (const held of this.all) {
        const askedAtMs = nowMs();
        if (held.hold.isHeld) held.claimedAtMs = askedAtMs;
      }
    }, SAMPLE_MS);
  }

  static async take({ address, prefix, count, ttlMs }: HoldersOptions): Promise<Holders> {
    const clients = Array.from({ length: CLIENTS }, (_, n) =>
      connect({ servers: [address], patienceMs: PATIENCE_MS, principal: `holder ${String(n)}` }),
    );
    try {
      const holds: Hold[] = [];
      for (let first = 0; first < count; first += AT_ONCE) {
        const numbers = Array.from(
          { length: Math.min(AT_ONCE, count - first) },
          (_, n) => first + n,
        );
        const results = await Promise.all(
          numbers.map((n) => {
            const client = clients[n % CLIENTS];
            if (client === undefined) throw new Error("no client");
            return client.hold(`${prefix}${String(n)}`, { ttlMs, waitMs: PATIENCE_MS });
          }),
        );
        for (const result of results) if (result.kind === "granted") holds.push(result.hold);
      }
      if (holds.length < count) throw new Error("somebody else has one of them");
      return new Holders(clients, holds);
    } catch (error) {
      await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
      throw error;
    }
  }

  /** Those that were lost, and what their holders were told. */
  get lost(): readonly string[] {
    return this.all
      .filter(({ hold }) => hold.state === "LOST")
      .map(({ hold }) => `${hold.resource}: ${(hold.signal.reason as Error).message}`);
  }

  get tokens(): Readonly<Record<string, bigint>> {
    return Object.fromEntries(this.all.map(({ hold, token }) => [hold.resource, token]));
  }

  /** Until all of them are so, or it is too late. @returns those that are not */
  async until(isSo: (held: Held) => boolean, withinMs: number): Promise<readonly string[]> {
    const untilMs = nowMs() + withinMs;
    for (;;) {
      const others = this.all.filter((held) => !isSo(held));
      if (others.length === 0 || nowMs() > untilMs) return others.map(({ hold }) => hold.resource);
      await pause(SAMPLE_MS);
    }
  }

  /** Releases what is held. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sampling);
    await Promise.all(this.#clients.map((client) => client[Symbol.asyncDispose]()));
  }
}
