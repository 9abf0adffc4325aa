// What a scenario is played on: daemons over one store, networks to them that can be spoilt, a
// rival, and the actor.

import { connect, type Hold, type LockClient } from "../../src/index.js";
import type { DaemonProcess } from "../../test/support/cli.js";
import { HoldHome, hostMs } from "../../test/support/hold-cli.js";
import { Proxy } from "../../test/support/proxy.js";
import { Actor, type Order } from "./actor.js";
import { IdleDaemon } from "./idle-daemon.js";

// Where it is to be kept: a holder that a crowded machine leaves out for seconds has not failed.
export const KEPT_TTL_MS = 8000;
/** Longer than a lease lives by itself. */
export const LONGER_MS = 1.2 * KEPT_TTL_MS;
const WAIT_MS = 20_000;

/** One thing that can happen to a holder. */
export interface Scenario {
  readonly name: string;
  readonly play: (scene: Scene) => Promise<void>;
}

/** What the actor is told to hold. */
export const order = (resource: string, ttlMs: number, waitMs = WAIT_MS): Order => ({
  ...{ resource, waitMs, ttlMs },
});

export class Scene implements AsyncDisposable {
  readonly #command: readonly string[];
  readonly #home: HoldHome;
  readonly #open: AsyncDisposable[] = [];

  private constructor(command: readonly string[], home: HoldHome) {
    this.#command = command;
    this.#home = home;
  }

  static async set(command: readonly string[]): Promise<Scene> {
    return new Scene(command, await HoldHome.make());
  }

  /** Starts a daemon over the store, on the address of one that was there before if it is given. */
  daemon(address?: string): Promise<DaemonProcess> {
    return this.#home.daemon(address);
  }

  async proxy({ address }: DaemonProcess): Promise<Proxy> {
    return this.#owned(await Proxy.open(address));
  }

  async idleDaemon(): Promise<IdleDaemon> {
    return this.#owned(await IdleDaemon.start());
  }

  actor(servers: readonly string[]): Actor {
    return this.#owned(new Actor(this.#command, servers, "actor"));
  }

  /** Somebody else, on the library that is tested most. */
  rival({ address }: DaemonProcess): LockClient {
    return this.#owned(connect({ servers: [address], principal: "rival" }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const opened of this.#open.reverse()) await opened[Symbol.asyncDispose]();
    await this.#home[Symbol.asyncDispose]();
  }

  #owned<T extends AsyncDisposable>(opened: T): T {
    this.#open.push(opened);
    return opened;
  }
}

/** A lock that the rival has got, and since when at the earliest, by the host's monotonic clock. */
export interface Taken {
  readonly hold: Hold;
  readonly atMs: number;
}

/** The rival takes it as soon as it may. */
export async function taken(rival: LockClient, resource: string): Promise<Taken> {
  const result = await rival.hold(resource, { ttlMs: 60_000, waitMs: 30_000 });
  if (result.kind !== "granted") throw new Error(result.message);
  // The store tells when by its wall clock, which is this host's.
  const wallMs = Number(result.hold.lease.createdAtUs) / 1000;
  return { hold: result.hold, atMs: wallMs - (Date.now() - hostMs()) };
}
