// Locks in a DynamoDB table.

import type {
  AcquireAnswer,
  AcquireAsk,
  Backend,
  BackendTraits,
  CurrentAnswer,
  Failed,
  ListAnswer,
  ListAsk,
  ReleaseAnswer,
  ReleaseAsk,
  RenewAnswer,
  RenewAsk,
} from "../../lock/backend.js";
import type { Clock } from "../../lock/clock.js";
import { Connection } from "./connection.js";
import { Leases } from "./leases.js";
import { Reads } from "./reads.js";
import { optionsOf, type DynamodbSettings } from "./settings.js";
import type { Deadline } from "./slots.js";
import { checkTable } from "./table.js";

export type { DynamodbSettings } from "./settings.js";
export { createTable, tableDefinition } from "./table.js";

const MIN_TTL_MS = 1000;

// Whoever waits for a resource has it looked at so often: a consistent read for each.
const WATCH_EVERY_MS = 1000;

// How long a check takes a table for fit that was found so.
const TRUST_TABLE_MS = 60_000;

// Readiness waits no longer than 5 s for an answer.
const CHECK_WITHIN_MS = 3000;

/**
 * Opens a table. It is looked at with the first call, and not before: a daemon may start while
 * its table cannot be reached, and says so through readiness.
 */
export async function openDynamodb(
  settings: DynamodbSettings,
  { clock }: { readonly clock: Clock },
): Promise<Backend> {
  return new DynamodbBackend(await Connection.open(optionsOf(settings), clock), clock);
}

class DynamodbBackend implements Backend {
  readonly traits: BackendTraits;
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #leases: Leases;
  readonly #reads: Reads;
  readonly #listeners = new Set<(resource: string | undefined) => void>();
  #stopWatching: (() => void) | undefined;
  #inspectedAtMs: number | undefined;
  #inspecting: Promise<void> | undefined;

  constructor(connection: Connection, clock: Clock) {
    const { place, maxClockSkewMs } = connection.options;
    this.traits = {
      ...{ type: "dynamodb", place, minTtlMs: MIN_TTL_MS, takeoverSlackMs: maxClockSkewMs },
      longestBatch: 1, // Each question is a request of its own.
    };
    this.#connection = connection;
    this.#clock = clock;
    this.#leases = new Leases(connection);
    this.#reads = new Reads(connection, this.#leases);
  }

  acquire(asks: readonly AcquireAsk[]): Promise<readonly AcquireAnswer[]> {
    return this.#each(asks, (ask, deadline) => this.#leases.acquire(ask, deadline));
  }

  renew(asks: readonly RenewAsk[]): Promise<readonly RenewAnswer[]> {
    return this.#each(asks, (ask, deadline) => {
      // Of one that nobody knows the end of it may be near.
      const urgentAtMs = this.#clock.monotonicMs() + (ask.validForMs ?? 0);
      return this.#leases.renew(ask, { ...deadline, urgentAtMs });
    });
  }

  release(asks: readonly ReleaseAsk[]): Promise<readonly ReleaseAnswer[]> {
    return this.#each(asks, (ask, deadline) => this.#leases.release(ask, deadline));
  }

  current(resources: readonly string[]): Promise<readonly CurrentAnswer[]> {
    return this.#connection.call(async (deadline) => {
      await this.#fit(deadline);
      return this.#reads.current(resources, deadline);
    });
  }

  list(ask: ListAsk): Promise<readonly ListAnswer[]> {
    return this.#connection.call(async (deadline) => {
      await this.#fit(deadline);
      return this.#reads.list(ask, deadline);
    });
  }

  watch(mayBeFree: (resource: string | undefined) => void): () => void {
    const listener = (resource: string | undefined): void => {
      mayBeFree(resource);
    };
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#poll();
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#stopWatching?.();
    };
  }

  check(): Promise<void> {
    const { timeoutMs } = this.#connection.options;
    return this.#connection.call(
      async (deadline) => {
        const inspectedAtMs = this.#inspectedAtMs ?? -Infinity;
        const isOld = this.#clock.monotonicMs() - inspectedAtMs >= TRUST_TABLE_MS;
        if (isOld) await this.#inspect(deadline);
        await this.#reads.probe(deadline);
        this.#connection.time.nowUs(); // Says so if this host's clock is off.
      },
      Math.min(timeoutMs, CHECK_WITHIN_MS),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listeners.clear();
    this.#stopWatching?.();
    await this.#connection[Symbol.asyncDispose]();
  }

  #each<Ask, Answer>(
    asks: readonly Ask[],
    one: (ask: Ask, deadline: Deadline) => Promise<Answer>,
  ): Promise<readonly (Answer | Failed)[]> {
    return this.#connection.call(async (deadline) => {
      await this.#fit(deadline);
      return Promise.all(
        asks.map((ask) =>
          one(ask, deadline).catch((thrown: unknown): Failed => ({
            kind: "failed",
            error: this.#connection.fault(thrown),
          })),
        ),
      );
    });
  }

  // Nothing is asked of a table that locks cannot be kept in, and nothing before the store's
  // time is known. Once is enough for those who have locks to renew; checks look again.
  async #fit(deadline: Deadline): Promise<void> {
    if (this.#inspectedAtMs === undefined) await this.#inspect(deadline);
  }

  // Those who come together look together.
  #inspect(deadline: Deadline): Promise<void> {
    this.#inspecting ??= checkTable(this.#connection, deadline)
      .then(() => {
        this.#inspectedAtMs = this.#clock.monotonicMs();
      })
      .finally(() => {
        this.#inspecting = undefined;
      });
    return this.#inspecting;
  }

  // A table tells nobody of its changes. Who waits is told to look, by one read for a hundred.
  #poll(): void {
    this.#stopWatching = this.#clock.after(WATCH_EVERY_MS, () => {
      this.#poll();
      for (const mayBeFree of this.#listeners) mayBeFree(undefined);
    });
  }
}
