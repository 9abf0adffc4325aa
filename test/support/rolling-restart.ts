// Three daemons over one store, each replaced in its turn under those who hold and those who wait.

import { expect } from "vitest";
import { connect, systemClock, type HoldResult, type LockClient } from "../../src/index.js";
import type { DaemonProcess } from "./cli.js";
import { Holders, nameOf } from "./holders.js";

const DAEMONS = 3;
const CLIENTS = 20;
const LOCKS_EACH = 50;
const TTL_MS = 10_000;
/** For so many of the locks somebody else waits, too. */
const RIVALS = 10;

/** Waits for locks that others hold, through the same daemons. */
class Rivals implements AsyncDisposable {
  readonly #client: LockClient;
  readonly #waits: readonly Promise<HoldResult>[];
  granted = 0;

  constructor(servers: readonly string[]) {
    this.#client = connect({ servers });
    this.#waits = Array.from({ length: RIVALS }, async (_, at) => {
      const result = await this.#client.hold(nameOf(at, 0), { ttlMs: TTL_MS });
      this.granted += 1;
      return result;
    });
  }

  /** Once the locks are free each has its own, with a greater token. */
  async check(before: ReadonlyMap<string, bigint>): Promise<void> {
    for (const result of await Promise.all(this.#waits)) {
      if (result.kind !== "granted") throw new Error(result.message);
      const { resource, token } = result.hold;
      expect(token).toBeGreaterThan(before.get(resource) ?? token);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#client[Symbol.asyncDispose]();
  }
}

/**
 * Holds a thousand locks, ends one daemon after the other by a signal, starts each again on its
 * port, and sees that none is lost, no token changes, and nobody else gets a lock meanwhile.
 * @param start starts a daemon over the store: on a port of its own, or on one that was in use
 */
export async function rollingRestart(
  start: (address?: string) => Promise<DaemonProcess>,
  signal: "SIGTERM" | "SIGKILL",
): Promise<void> {
  const daemons = await Promise.all(Array.from({ length: DAEMONS }, () => start()));
  const servers = daemons.map(({ address }) => address);
  await using holders = await Holders.gather(servers, {
    ...{ clients: CLIENTS, locksEach: LOCKS_EACH, ttlMs: TTL_MS },
  });
  expect(holders.holds).toHaveLength(CLIENTS * LOCKS_EACH);
  await using rivals = new Rivals(servers);
  let endedMs = 0;
  for (const [at, { address, running }] of daemons.entries()) {
    running.kill(signal);
    const ended = await running.ended;
    if (signal === "SIGTERM") expect(ended).toMatchObject({ code: 0, signal: null });
    endedMs = systemClock.monotonicMs();
    daemons[at] = await start(address);
    // On to the next one as soon as nobody is in need: some have hardly moved in by then.
    await holders.keptBeyond(endedMs + TTL_MS / 2);
  }
  await holders.check(servers, endedMs + TTL_MS);
  expect(rivals.granted).toBe(0);
  const tokens = new Map(holders.holds.map(({ resource, token }) => [resource, token]));
  await holders.release();
  await rivals.check(tokens);
  for (const { running } of daemons) running.kill("SIGTERM");
  for (const { running } of daemons) expect((await running.ended).code).toBe(0);
}
