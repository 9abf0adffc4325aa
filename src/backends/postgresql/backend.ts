// Stormlock's PostgreSQL store: a table whose rows are leases.

import type {
  AcquireAnswer,
  AcquireAsk,
  Backend,
  BackendTraits,
  CurrentAnswer,
  Failed,
  HandOverAnswer,
  HandOverAsk,
  ListAnswer,
  ListAsk,
  ReleaseAnswer,
  ReleaseAsk,
  RenewAnswer,
  RenewAsk,
} from "../../lock/backend.js";
import type { Clock } from "../../lock/clock.js";
import { parseDuration } from "../../lock/duration.js";
import { LockError } from "../../lock/errors.js";
import type { Lease } from "../../lock/lease.js";
import { listed, readEach } from "../../lock/unreadable.js";
import { SQL_STATE, sqlState, StoreFault, unavailable, undurable, type Place } from "./faults.js";
import { Hints, type MayBeFree } from "./hints.js";
import { Lane, type Connector } from "./lane.js";
import {
  acquiring,
  findValues,
  firstKey,
  firstKeyAfterPrefix,
  handingOver,
  indexOf,
  key,
  releasing,
  renewing,
  toLease,
} from "./leases.js";
import { Limit } from "./limit.js";
import { connectionParts, quotedTable } from "./names.js";
import { Pruning } from "./prune.js";
import { Batch, Way } from "./questions.js";
import { Session } from "./session.js";
import { DEFAULT_TABLE, DEFAULT_TIMEOUT, type PostgresqlSettings } from "./settings.js";
import { statements } from "./statements.js";
import { prepare } from "./table.js";

/**
 * Opens a PostgreSQL store, making its table when it is missing.
 * @throws LockError "unavailable" with one line that says what is wrong with it and what to do
 */
export async function openPostgresql(
  settings: PostgresqlSettings,
  { clock }: { readonly clock: Clock },
): Promise<Backend> {
  const { connection, table = DEFAULT_TABLE, timeout = DEFAULT_TIMEOUT } = settings;
  const parts = connectionParts(connection);
  if ("problem" in parts) {
    throw new LockError("invalid-field", `connection ${parts.problem}`, { field: "connection" });
  }
  const timeoutMs = parseDuration(timeout) ?? 5000;
  const { host, port, dbname, user } = parts;
  const place: Place = { database: `${host}:${port}/${dbname}`, user, table };
  const connector: Connector = async (limit) => {
    const session = await Session.open(parts, limit);
    try {
      const options = { table, isCreated: settings.create_table !== false, timeoutMs };
      const channel = await prepare(session, options, limit);
      return { session, channel, statements: statements(quotedTable(table), channel) };
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
  };
  const backend = new PostgresqlBackend(place, connector, clock, timeoutMs);
  try {
    await backend.open();
  } catch (error) {
    await backend[Symbol.asyncDispose]();
    throw error;
  }
  return backend;
}

class PostgresqlBackend implements Backend {
  readonly traits: BackendTraits;
  warnings: readonly string[] = [];
  readonly #place: Place;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** For what is taken and given back. */
  readonly #main: Lane;
  /** For what must not wait behind that: renewals, and reading. */
  readonly #swift: Lane;
  /** For what waits for other sessions' locks. */
  readonly #patient: Lane;
  readonly #acquiring: Way<AcquireAsk, AcquireAnswer>;
  readonly #renewing: Way<RenewAsk, RenewAnswer>;
  readonly #releasing: Way<ReleaseAsk, ReleaseAnswer>;
  readonly #handingOver: Way<HandOverAsk, HandOverAnswer>;
  readonly #pruning: Pruning;
  readonly #hints: Hints;
  readonly #underWay = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(place: Place, connector: Connector, clock: Clock, timeoutMs: number) {
    this.traits = {
      ...{ type: "postgresql", place: `${place.database} ${place.table}` },
      ...{ minTtlMs: 100, takeoverSlackMs: 0 },
    };
    this.#place = place;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#main = new Lane(connector);
    this.#swift = new Lane(connector);
    this.#patient = new Lane(connector);
    this.#acquiring = new Way(acquiring, this.#main, this.#patient);
    this.#renewing = new Way(renewing, this.#swift, this.#patient);
    this.#releasing = new Way(releasing, this.#main, this.#patient);
    this.#handingOver = new Way(handingOver, this.#main, this.#patient);
    this.#pruning = new Pruning((newRows) =>
      this.#call((limit) => this.#main.ask(({ prune }) => prune, [newRows], limit)),
    );
    this.#hints = new Hints(connector, clock, timeoutMs, (processId) =>
      [this.#main, this.#patient].some((own) => own.processId === processId),
    );
  }

  /** Connects, so that whoever opens hears at once what is wrong. */
  open(): Promise<void> {
    return this.#call(async (limit) => {
      await this.#main.connected(limit);
    });
  }

  acquire(asks: readonly AcquireAsk[], within = this.#limit()): Promise<readonly AcquireAnswer[]> {
    const work = async (batch: Batch<AcquireAsk, AcquireAnswer>, limit: Limit): Promise<void> => {
      await batch.pass();
      if (batch.open.length === 0) return;
      // Rows that were not there, or that somebody else has locked just now.
      const names = batch.open.map(({ resource }) => key(resource));
      const making = this.#make(names, limit);
      const passing = batch.pass();
      const [{ count, failure }] = await Promise.all([making, passing]);
      if (count > 0) this.#pruning.add(count);
      if (batch.open.length > 0) await batch.wait();
      if (failure !== undefined && batch.open.length > 0) throw failure.reason;
    };
    return this.#answer(asks, this.#acquiring, work, undefined, within);
  }

  renew(asks: readonly RenewAsk[]): Promise<readonly RenewAnswer[]> {
    const lost: RenewAnswer = { kind: "lost" };
    const work = this.#passThenWait<RenewAsk, RenewAnswer>(this.#swift, lost);
    return this.#answer(asks, this.#renewing, work, lost);
  }

  release(asks: readonly ReleaseAsk[], within = this.#limit()): Promise<readonly ReleaseAnswer[]> {
    const notHeld: ReleaseAnswer = { kind: "not-held" };
    const work = this.#passThenWait<ReleaseAsk, ReleaseAnswer>(this.#main, notHeld);
    return this.#answer(asks, this.#releasing, work, notHeld, within);
  }

  handOver(asks: readonly HandOverAsk[]): Promise<readonly HandOverAnswer[]> {
    return this.#answer(asks, this.#handingOver, async (batch, limit) => {
      await batch.pass();
      const { open } = batch;
      if (open.length === 0) return;
      // Held by others, free, or locked just now: it is asked in two questions then.
      const releases = open.map(({ release }) => release);
      const released = await this.release(releases, limit);
      const acquires = open.map(({ acquire }) => acquire);
      const acquired = await this.acquire(acquires, limit).catch((thrown: unknown) =>
        acquires.map((): AcquireAnswer => this.#failed(thrown)),
      );
      batch.answerOpen(
        released.flatMap((release, at): HandOverAnswer[] => {
          const acquire = acquired[at];
          return acquire === undefined ? [] : [{ kind: "asked", release, acquire }];
        }),
      );
    });
  }

  // Somebody else may be making one of these rows and not come to an end: then each is made by
  // itself, where nobody waits who wants another.
  async #make(
    names: readonly Buffer[],
    limit: Limit,
  ): Promise<{ readonly count: number; readonly failure?: PromiseRejectedResult }> {
    try {
      return await this.#main.ask(({ make }) => make.passing, [names], limit);
    } catch (error) {
      if (sqlState(error) !== SQL_STATE.lockNotAvailable) throw error;
    }
    const outcomes = await Promise.allSettled(
      names.map((name) => this.#patient.ask(({ make }) => make.waiting, [[name]], limit)),
    );
    const made = outcomes.map((one) => (one.status === "fulfilled" ? one.value.count : 0));
    const failure = outcomes.find((one) => one.status === "rejected");
    const count = made.reduce((sum, one) => sum + one, 0);
    return failure === undefined ? { count } : { count, failure };
  }

  // What is not there under its id has ended. What is there and was passed over is waited for.
  #passThenWait<Ask extends RenewAsk | ReleaseAsk, Answer>(
    lane: Lane,
    ended: Answer,
  ): (batch: Batch<Ask, Answer>, limit: Limit) => Promise<void> {
    return async (batch, limit) => {
      await batch.pass();
      if (batch.open.length === 0) return;
      const { rows } = await lane.ask(({ find }) => find, findValues(batch.open), limit);
      batch.answerAllBut(new Set(rows.map(indexOf)), ended);
      if (batch.open.length > 0) await batch.wait();
    };
  }

  current(resources: readonly string[]): Promise<readonly CurrentAnswer[]> {
    return this.#call(async (limit) => {
      if (resources.length === 0) return [];
      const { rows } = await this.#swift.ask(
        (all) => all.current,
        [resources.map((resource) => key(resource))],
        limit,
      );
      const found = new Map(rows.map((row) => [indexOf(row), row]));
      return readEach(resources, (resource, index) => {
        const row = found.get(index);
        return row && toLease(row, resource);
      });
    });
  }

  list({ prefix, after, limit: most }: ListAsk): Promise<readonly ListAnswer[]> {
    return this.#call(async (limit) => {
      const values = [firstKey(prefix, after), firstKeyAfterPrefix(prefix), most];
      const { rows } = await this.#swift.ask((all) => all.list, values, limit);
      const names = rows.map((row) => Buffer.from(row[1] ?? "", "hex").toString());
      const read = (name: string, index: number): Lease => {
        const row = rows[index] ?? [];
        if (key(name).toString("hex") !== row[1]) throw new TypeError("its name is no UTF-8");
        return toLease(row, name);
      };
      return listed(names, readEach(names, read));
    });
  }

  watch(mayBeFree: MayBeFree): () => void {
    return this.#hints.listen(mayBeFree);
  }

  check(): Promise<void> {
    return this.#call(async (limit) => {
      const { count } = await this.#main.ask(({ touch }) => touch.passing, [], limit);
      // Not there yet, or locked: whoever wants locks does not wait for that (P8).
      if (count === 0) await this.#patient.ask(({ touch }) => touch.waiting, [], limit);
      const { rows } = await this.#main.ask(({ durability }) => durability, [], limit);
      this.warnings = rows[0]?.[0] === "off" ? [undurable(this.#place)] : [];
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    // Calls under way are answered first: each comes to its end within its limit.
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
    for (const part of [this.#hints, this.#patient, this.#swift, this.#main]) {
      await part[Symbol.asyncDispose]();
    }
  }

  /**
   * @param otherwise the answer of those that no row has answered in the end; without it they
   *   have failed
   */
  #answer<Ask, Answer>(
    asks: readonly Ask[],
    way: Way<Ask, Answer>,
    ask: (batch: Batch<Ask, Answer>, limit: Limit) => Promise<void>,
    otherwise?: Answer,
    within = this.#limit(),
  ): Promise<readonly (Answer | Failed)[]> {
    return this.#call(async (limit) => {
      const batch = new Batch(asks, way, limit);
      if (asks.length === 0) return [];
      try {
        await ask(batch, limit);
      } catch (thrown) {
        if (batch.open.length === asks.length) throw thrown;
        return batch.fill(() => this.#failed(thrown));
      }
      return batch.fill(() => otherwise ?? this.#failed(new StoreFault({ kind: "gone" })));
    }, within);
  }

  #limit(): Limit {
    return new Limit(this.#clock, this.#timeoutMs);
  }

  #failed(thrown: unknown): Failed {
    return { kind: "failed", error: unavailable(thrown, this.#place) };
  }

  async #call<T>(work: (limit: Limit) => Promise<T>, limit = this.#limit()): Promise<T> {
    if (this.#isClosed) throw unavailable(new StoreFault({ kind: "closed" }), this.#place);
    const working = work(limit);
    this.#underWay.add(working);
    try {
      return await working;
    } catch (thrown) {
      throw unavailable(thrown, this.#place);
    } finally {
      this.#underWay.delete(working);
    }
  }
}
