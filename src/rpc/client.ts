import type { Clock } from "../lock/clock.js";
import { Keeper } from "../lock/holder/keeper.js";
import type { HoldOptions, HoldResult, LockClientOptions } from "./client-contract.js";
import type { Transport } from "./transport.js";
import { DEFAULT_PATIENCE_MS, UnaryClient } from "./unary-client.js";

/** Asks daemons for locks (unary-client.ts), and keeps what it is asked to hold. */
export class LockClient extends UnaryClient {
  readonly #transports: readonly Transport[];
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #principal: string;
  readonly #patienceMs: number;
  #keeper: Keeper | undefined;

  constructor(options: LockClientOptions) {
    super(options);
    const { transports, clock, random = Math.random } = options;
    const { principal = "", patienceMs = DEFAULT_PATIENCE_MS } = options;
    this.#transports = transports;
    this.#clock = clock;
    this.#random = random;
    this.#principal = principal;
    this.#patienceMs = patienceMs;
  }

  /**
   * Takes a lock and keeps it, over a stream to whichever daemon answers, until it is disposed of
   * or lost. All holds of a client share one stream.
   */
  async hold(resource: string, options: HoldOptions = {}): Promise<HoldResult> {
    const { ttlMs, waitMs = Infinity, reason = "", labels = {}, signal } = options;
    const { onQueued, onSilence, outlastsSilence = false } = options;
    this.#keeper ??= new Keeper({
      links: this.#transports.map((transport) => (events) => transport.hold(events)),
      clock: this.#clock,
      random: this.#random,
      patienceMs: this.#patienceMs,
    });
    const outcome = await this.#keeper.hold({
      ...{ resource, ttlMs, waitMs, reason, labels, outlastsSilence },
      principal: options.principal ?? this.#principal,
      ...(signal === undefined ? {} : { signal }),
      ...(onQueued === undefined ? {} : { onQueued }),
      ...(onSilence === undefined ? {} : { onSilence }),
    });
    return outcome.kind === "held"
      ? { kind: "granted", hold: outcome.hold }
      : { kind: "held", holder: outcome.holder, message: outcome.message };
  }

  /** Releases what is held by `hold`, and closes the connections. */
  override async [Symbol.asyncDispose](): Promise<void> {
    this.stopAsking();
    await this.#keeper?.[Symbol.asyncDispose]();
    await super[Symbol.asyncDispose]();
  }
}
