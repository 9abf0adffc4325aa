// The store file, on one connection, from one thread: groups of questions become transactions.
//
//   T1. A group's writes are one transaction, durable (WAL, synchronous=FULL) before any of
//       its answers leaves this class.
//   T2. Time is read under the write lock, so it is not older than anybody else's commit.
//   T3. What fails leaves nothing behind: it is rolled back, and unless the file was merely
//       busy, or the disk full, the connection is made anew for the next group.
//   T4. All times in the file belong to the boot that its `store` row names. A group that
//       finds another boot there has been overtaken by another machine, and stops for good.

import { connect, inodeOf, type Connection, type ConnectionOptions } from "./connection.js";
import type { Database, Driver } from "./driver.js";
import { isBusy, isFull, StoreFault } from "./faults.js";
import type { Moment } from "./leases.js";
import type { AnswerValues, ReadQuestion, WriteQuestion } from "./messages.js";
import { patiently } from "./patience.js";
import type { Sweep } from "./prune.js";
import { inspectVersion } from "./schema.js";

// Shorter suspensions than this are below what can be measured; they add up until they count.
const LEAST_SUSPENSION_US = 50_000;

interface State extends Moment, Sweep {
  readonly releases: number;
}

export class Store {
  readonly #driver: Driver;
  readonly #options: ConnectionOptions;
  #connection: Connection | undefined;
  #stopped: StoreFault | undefined;
  // As the file had it when last read.
  #suspendedUs = 0;
  #seenVersion: unknown;
  #seenReleases: number | undefined;
  #isUnsettled = false;

  /** Call `open` before anything else. */
  constructor(driver: Driver, options: ConnectionOptions) {
    this.#driver = driver;
    this.#options = options;
  }

  /** Makes the file a store if it is none yet, and fit for this boot. Throws as SQLite does, or StoreFault. */
  open(): void {
    this.#connected();
  }

  /** One transaction; the answers are in the questions' order. Throws as `open`. */
  write(questions: readonly WriteQuestion[]): unknown[] {
    return this.#guarded((connection) => {
      const isAsking = questions.every(([kind]) => kind === "acquire");
      const refusals = isAsking ? this.#refusals(connection, questions) : undefined;
      return refusals ?? this.#writingInRoom(connection, questions);
    });
  }

  /** Whether it is time for `settle`, soon. */
  get isUnsettled(): boolean {
    return this.#isUnsettled;
  }

  /** Gives what has made the file grow its place there (see room.ts). */
  settle(): void {
    this.#isUnsettled = false;
    this.#connection?.room.place();
  }

  /** As `write`, without a lock. */
  read(questions: readonly ReadQuestion[]): unknown[] {
    return this.#guarded((connection) =>
      this.#reading(connection, (state) =>
        questions.map((question) => answerRead(connection, state, question)),
      ),
    );
  }

  /**
   * Whether another connection has released something since this was last asked. A file that has
   * been replaced, or has to be opened anew, is left to whoever asks a question: he must be told.
   */
  othersReleased(): boolean {
    if (this.#connection?.inode !== inodeOf(this.#options.path)) return false;
    return this.#guarded((connection) => {
      const version = connection.dataVersion.get()?.["data_version"];
      if (version === this.#seenVersion && this.#seenReleases !== undefined) return false;
      this.#seenVersion = version;
      const releases = Number(connection.state.get()?.["releases"]);
      const isNews = this.#seenReleases !== undefined && releases !== this.#seenReleases;
      this.#seenReleases = releases;
      return isNews;
    });
  }

  /** Closes the file; the last to close it folds the log into it. */
  close(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection?.database.isOpen === true) connection.database.close();
  }

  // Those who ask for what others hold are answered without the write lock: however many they
  // are, they keep nobody waiting. The first question that may change something ends the look.
  #refusals(
    connection: Connection,
    questions: readonly WriteQuestion[],
  ): AnswerValues[][] | undefined {
    return this.#reading(connection, (state) => {
      const answers: AnswerValues[][] = [];
      for (const question of questions) {
        const refused: AnswerValues[] = [];
        for (const ask of question[0] === "acquire" ? question[1] : []) {
          const refusal = connection.leases.refusal(ask, state);
          if (refusal === undefined) return undefined;
          refused.push(refusal);
        }
        answers.push(refused);
      }
      return answers;
    });
  }

  // Where the log could not be lengthened, it may do to begin it anew.
  #writingInRoom(connection: Connection, questions: readonly WriteQuestion[]): unknown[] {
    try {
      return this.#writing(connection, questions);
    } catch (error) {
      if (!isFull(error) || error instanceof StoreFault) throw error;
      endTransaction(connection.database);
      connection.room.beginLogAnew(this.#options.busyMs);
      return this.#writing(connection, questions);
    }
  }

  #writing(connection: Connection, questions: readonly WriteQuestion[]): unknown[] {
    patiently(this.#options.busyMs, () => {
      connection.database.exec("BEGIN IMMEDIATE");
    });
    const state = this.#state(connection, { mayWrite: true }); // T2
    const work = { newRows: 0, releases: 0 };
    const answers = questions.map((question) => answerWrite(connection, state, question, work));
    if (work.newRows > 0) connection.pruning.step(work.newRows, state, state.nowUs);
    if (work.releases > 0) connection.countReleases.run(work.releases);
    connection.room.admit();
    connection.database.exec("COMMIT"); // T1
    const { waiting } = connection.room;
    if (waiting === "much") connection.room.place();
    this.#isUnsettled = waiting === "some";
    if (this.#seenReleases === state.releases) this.#seenReleases += work.releases;
    return answers;
  }

  // While the file is locked by another process, what ended seems held a little longer.
  #tryToNote(connection: Connection): void {
    try {
      this.#writing(connection, []);
    } catch (error) {
      if (!(error instanceof StoreFault && error.kind === "busy")) throw error;
    }
  }

  #reading<T>(connection: Connection, look: (state: State) => T): T {
    // Whoever only looks would otherwise see what ended during a suspension as held, until
    // somebody writes.
    if (this.#isSuspensionNews()) this.#tryToNote(connection);
    return patiently(this.#options.busyMs, () => {
      connection.database.exec("BEGIN");
      try {
        return look(this.#state(connection, { mayWrite: false }));
      } finally {
        endTransaction(connection.database);
      }
    });
  }

  // T3
  #guarded<T>(work: (connection: Connection) => T): T {
    const connection = this.#connected();
    try {
      return work(connection);
    } catch (error) {
      if (error instanceof StoreFault && error.kind === "elsewhere") this.#stopped = error;
      this.#abandon(connection, error);
      throw error;
    }
  }

  #abandon(connection: Connection, error: unknown): void {
    try {
      endTransaction(connection.database);
      if (isBusy(error) || (error instanceof StoreFault && error.kind === "busy")) return;
      if (isFull(error)) return; // The last to close the file gives the log's room away.
      this.close();
    } catch {
      this.#connection = undefined; // What cannot even be closed is left to the collector.
    }
  }

  #connected(): Connection {
    if (this.#stopped !== undefined) throw this.#stopped;
    const { path } = this.#options;
    // A file that was moved away is still there for us, while others lock in the new one.
    if (this.#connection !== undefined) {
      if (inodeOf(path) === this.#connection.inode) return this.#connection;
      this.close();
      throw new StoreFault("replaced");
    }
    this.#connection = connect(this.#driver, this.#options);
    this.#suspendedUs = Number(this.#connection.state.get()?.["suspended_us"]);
    this.#seenReleases = undefined;
    return this.#connection;
  }

  // The store's own time is the host's monotonic clock plus the time for which the machine was
  // suspended. That part is hard to measure and is therefore kept in the file: all processes
  // agree about it, and it only grows, when one of them finds that it has (under the lock).
  #state(connection: Connection, { mayWrite }: { readonly mayWrite: boolean }): State {
    const { clock } = this.#options;
    inspectVersion(connection.version);
    const row = connection.state.get();
    if (row?.["boot"] !== clock.bootId) throw new StoreFault("elsewhere"); // T4
    this.#suspendedUs = Number(row["suspended_us"]);
    if (mayWrite && this.#isSuspensionNews()) {
      this.#suspendedUs = clock.suspendedUs();
      connection.noteSuspension.run(this.#suspendedUs);
    }
    return {
      nowUs: clock.monotonicUs() + this.#suspendedUs,
      wallUs: clock.wallUs(),
      tokenFloor: Number(row["token_floor"]),
      releases: Number(row["releases"]),
      sweptTo: row["swept_to"] as Uint8Array,
    };
  }

  #isSuspensionNews(): boolean {
    return this.#options.clock.suspendedUs() > this.#suspendedUs + LEAST_SUSPENSION_US;
  }
}

// SQLite ends a transaction by itself after some errors.
function endTransaction(database: Database): void {
  if (database.isTransaction) database.exec("ROLLBACK");
}

function answerWrite(
  { leases, room, countCheck }: Connection,
  state: State,
  question: WriteQuestion,
  work: { newRows: number; releases: number },
): unknown {
  switch (question[0]) {
    case "acquire":
      return question[1].map((ask) => {
        const { answer, isNew } = leases.acquire(ask, state);
        if (isNew) work.newRows++;
        return answer;
      });
    case "renew":
      return question[1].map((ask) => leases.renew(ask, state));
    case "release":
      return question[1].map((ask) => {
        const answer = leases.release(ask, state);
        if (answer[0] === "released") work.releases++;
        return answer;
      });
    case "hand-over":
      return question[1].map(([release, acquire]) => {
        const released = leases.release(release, state);
        const { answer, isNew } = leases.acquire(acquire, state);
        if (isNew) work.newRows++;
        // What is held again at once need not be told of.
        const isHeld = answer[0] === "granted" || answer[0] === "extended";
        if (released[0] === "released" && !isHeld) work.releases++;
        return [released, answer];
      });
    case "check":
      countCheck.run(); // A real write: nothing less tells that writing works.
      room.prove(); // It may find room where new leases do not.
      return undefined;
  }
}

function answerRead({ leases }: Connection, state: State, question: ReadQuestion): unknown {
  switch (question[0]) {
    case "current":
      return question[1].map((resource) => leases.current(resource, state));
    case "list":
      return leases.list(question[1], state);
  }
}
