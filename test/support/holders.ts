// Many locks held by many clients, under daemons that come and go.

import { expect } from "vitest";
import { connect, systemClock, type Hold, type LockClient } from "../../src/index.js";
import { until } from "./hold-cli.js";

export interface HoldersOptions {
  /** How many clients, each with a stream of its own. */
  readonly clients: number;
  /** How many locks each of them holds; one when left out. */
  readonly locksEach?: number;
  readonly ttlMs: number;
}

/** Clients that hold locks and keep them. */
export class Holders implements AsyncDisposable {
  readonly holds: Hold[] = [];
  readonly #clients: LockClient[] = [];
  readonly #tokens = new Map<Hold, bigint>();
  lost = 0;

  /** Each client prefers another address, so that all daemons have something to keep. */
  static async gather(
    servers: readonly string[],
    { clients, locksEach = 1, ttlMs }: HoldersOptions,
  ): Promise<Holders> {
    const holders = new Holders();
    await Promise.all(
      Array.from({ length: clients }, async (_, at) => {
        const first = at % servers.length;
        const client = connect({ servers: [...servers.slice(first), ...servers.slice(0, first)] });
        holders.#clients.push(client);
        const names = Array.from({ length: locksEach }, (__, nth) => nameOf(at, nth));
        await Promise.all(names.map((name) => holders.#take(client, name, ttlMs)));
      }),
    );
    return holders;
  }

  /** The shortest time that any of them has left, by its own belief. */
  get leastLeftMs(): number {
    const nowMs = systemClock.monotonicMs();
    return Math.min(...this.holds.map(({ deadlineMs }) => deadlineMs - nowMs));
  }

  /** Waits until all are held beyond a moment of this process's clock; none may be lost. */
  async keptBeyond(ms: number): Promise<void> {
    await until("all have been renewed", () => {
      expect(this.lost).toBe(0);
      return this.holds.every(({ deadlineMs }) => deadlineMs > ms);
    });
  }

  /**
   * All are held longer than any lease lived by itself, with the tokens they had: by their holders'
   * belief, and by the store itself, which knows better.
   */
  async check(servers: readonly string[], beyondMs: number): Promise<void> {
    await this.keptBeyond(beyondMs);
    expect(this.holds.filter(({ isHeld }) => !isHeld)).toHaveLength(0);
    expect(this.holds.map(({ token }) => token)).toEqual([...this.#tokens.values()]);
    await using client = connect({ servers });
    const held = new Map<string, bigint>();
    for await (const { resource, token } of client.list("stream/")) held.set(resource, token);
    for (const { resource, token } of this.holds) expect(held.get(resource)).toBe(token);
  }

  /** Releases all; every one was still its holder's. */
  async release(): Promise<void> {
    const outcomes = await Promise.all(this.holds.map((hold) => hold.release()));
    expect(new Set(outcomes)).toEqual(new Set(["released"]));
    expect(this.lost).toBe(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client[Symbol.asyncDispose]()));
  }

  async #take(client: LockClient, name: string, ttlMs: number): Promise<void> {
    const result = await client.hold(name, { ttlMs });
    if (result.kind !== "granted") throw new Error(result.message);
    const { hold } = result;
    hold.signal.addEventListener("abort", () => (this.lost += 1));
    this.holds.push(hold);
    this.#tokens.set(hold, hold.token);
  }
}

/** The name of a client's nth lock. */
export function nameOf(client: number, nth: number): string {
  return `stream/${String(client)}/${String(nth)}`;
}
