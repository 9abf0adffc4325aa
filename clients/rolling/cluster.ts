// Three daemons over one store, one of which is ended and replaced at a time.

import { expect } from "vitest";
import { connect, type LockClient } from "../../src/index.js";
import { CliHome, type DaemonProcess } from "../../test/support/cli.js";
import { hostMs } from "../../test/support/hold-cli.js";
import type { Store, StoreKind } from "../../test/support/stores.js";

const DAEMONS = 3;
const MOST_MS = 300_000;

export class Cluster implements AsyncDisposable {
  readonly #store: Store;
  readonly #home: CliHome;
  readonly #config: string;
  readonly #daemons: DaemonProcess[] = [];
  readonly #observer: LockClient;

  private constructor(store: Store, home: CliHome, config: string, daemons: DaemonProcess[]) {
    this.#store = store;
    this.#home = home;
    this.#config = config;
    this.#daemons = daemons;
    this.#observer = connect({ servers: this.servers });
  }

  static async start(kind: StoreKind): Promise<Cluster> {
    const store = await kind.start();
    const home = await CliHome.make();
    const config = await home.file("daemon.toml", store.toml);
    const start = (): Promise<DaemonProcess> => startDaemon(home, config, store);
    const daemons = [];
    while (daemons.length < DAEMONS) daemons.push(await start());
    return new Cluster(store, home, config, daemons);
  }

  get servers(): readonly string[] {
    return this.#daemons.map(({ address }) => address);
  }

  /** The addresses, in another order for each client: all daemons have something to keep. */
  serversOf(nth: number): readonly string[] {
    const first = nth % DAEMONS;
    return [...this.servers.slice(first), ...this.servers.slice(0, first)];
  }

  /**
   * Ends one daemon after the other, and starts it again on its port.
   * @param settled waits until the next one may go; it is told when the last one was gone
   */
  async roll(
    signal: "SIGTERM" | "SIGKILL",
    settled: (endedMs: number) => Promise<void>,
  ): Promise<void> {
    for (const [at, { address, running }] of this.#daemons.entries()) {
      running.kill(signal);
      const ended = await running.ended;
      if (signal === "SIGTERM") expect(ended).toMatchObject({ code: 0, signal: null });
      const endedMs = hostMs();
      this.#daemons[at] = await startDaemon(this.#home, this.#config, this.#store, address);
      await settled(endedMs);
    }
  }

  /** What the store has, asked through whichever daemon answers. */
  async held(prefix: string): Promise<ReadonlyMap<string, Held>> {
    const found = new Map<string, Held>();
    for await (const { resource, principal, token, remainingMs } of this.#observer.list(prefix))
      found.set(resource, { principal, token, remainingMs });
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#observer[Symbol.asyncDispose]();
    await this.#home[Symbol.asyncDispose]();
    await this.#store[Symbol.asyncDispose]();
  }
}

/** A lease in the store. */
export interface Held {
  readonly principal: string;
  readonly token: bigint;
  readonly remainingMs: number;
}

function startDaemon(
  home: CliHome,
  config: string,
  store: Store,
  address = "127.0.0.1:0",
): Promise<DaemonProcess> {
  const argv = ["-c", config, "--listen", address];
  return home.daemon(argv, { env: store.env, mostMs: MOST_MS });
}
