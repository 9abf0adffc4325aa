import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../test/support/free-port.js";
import { until } from "./host.js";
import { Program } from "./program.js";
import { openStore, type Store, type StoreName } from "./stores.js";
import { PROGRAM } from "./wrappers.js";

const START_WITHIN_MS = 30_000;

/** A daemon on a port that it keeps when it is started again. */
export class Daemon implements AsyncDisposable {
  readonly address: string;
  readonly #home: string;
  readonly #log: string;
  #program: Program | undefined;
  #starts = 0;

  constructor(port: number, home: string) {
    this.address = `127.0.0.1:${String(port)}`;
    this.#home = home;
    this.#log = join(home, `daemon-${String(port)}`);
  }

  async start(): Promise<void> {
    await this.#program?.destroy();
    const program = new Program({
      argv: [process.execPath, PROGRAM, "serve", "--listen", this.address, "-c", "store.toml"],
      cwd: this.#home,
      log: `${this.#log}.${String(++this.#starts)}.log`,
    });
    this.#program = program;
    const isUp = await until(
      () => program.end !== undefined || program.said.includes("listening on"),
      START_WITHIN_MS,
    );
    if (isUp !== true || program.end !== undefined) {
      throw new Error(`no daemon on ${this.address}: ${program.said}`);
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.#program?.kill(signal);
  }

  /** Starts it if it has ended. */
  async ensure(): Promise<void> {
    if (this.#program === undefined || this.#program.end !== undefined) await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program?.destroy();
  }
}

/** A store with two daemons over it: one for the first holder, one for whoever comes next. */
export class Stage implements AsyncDisposable {
  readonly home: string;
  readonly storeName: StoreName;
  readonly store: Store;
  readonly first: Daemon;
  readonly second: Daemon;

  private constructor(
    home: string,
    storeName: StoreName,
    store: Store,
    ports: readonly [number, number],
  ) {
    this.home = home;
    this.storeName = storeName;
    this.store = store;
    this.first = new Daemon(ports[0], home);
    this.second = new Daemon(ports[1], home);
  }

  static async open(storeName: StoreName, hasDaemons: boolean): Promise<Stage> {
    const home = await mkdtemp(join(tmpdir(), "stormlock-trials-"));
    const store = await openStore(storeName, home);
    const stage = new Stage(home, storeName, store, [await freePort(), await freePort()]);
    try {
      await writeFile(
        join(home, "store.toml"),
        `[default]\nbackend = "main"\n[backend.main]\n${store.settings}\n`,
        { mode: 0o600 },
      );
      if (hasDaemons) await Promise.all([stage.first.start(), stage.second.start()]);
      return stage;
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.first[Symbol.asyncDispose]();
    await this.second[Symbol.asyncDispose]();
    await this.store[Symbol.asyncDispose]();
    await rm(this.home, { recursive: true, force: true, maxRetries: 5 });
  }
}
