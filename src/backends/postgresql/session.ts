// One connection, on which questions are sent without waiting for the answers to earlier ones.
//
//   C1. Answers come in the order of the questions, each of which is its own transaction.
//   C2. A question that is not answered in time ends the connection: what the server would
//       still say on it could not be told from the answer to the next.
//   C3. A commit that has not reached its standby comes as a success with a warning. Such an
//       answer is unknown, not a success.
//   C4. After an error that may mean another server, or another state of it, than was looked at
//       when the connection was made, no more is asked on it.

import { connect, cut, type Client, type Notification } from "./driver.js";
import { sqlState, StoreFault } from "./faults.js";
import type { Limit } from "./limit.js";
import type { ConnectionParts } from "./names.js";
import type { Statement } from "./statements.js";

/** A row: PostgreSQL's texts, in the order of the columns. */
export type Row = readonly (string | null)[];

export interface Answer {
  readonly rows: readonly Row[];
  /** How many rows were written, or read. */
  readonly count: number;
}

// Connection lost, server stopping, read-only, table gone or changed, statement unknown.
const RETIRING = /^(?:08|0A|25|26|42(?!P07|710)|57P|58|XX)/u;

// C3. SyncRepWaitForLSN warns so, in any language. The other warning of this code is harmless.
const WARNING = "01000";
const HARMLESS = "asyncQueueFillWarning";

const RAW = { getTypeParser: () => (text: string) => text };

// A goodbye that nobody answers.
const GOODBYE_MS = 1000;

interface Pending {
  readonly settle: (fault: unknown, answer?: Answer) => void;
  isDoubtful: boolean;
}

export class Session implements AsyncDisposable {
  readonly #client: Client;
  readonly #ended: Promise<void>;
  readonly #pending: Pending[] = [];
  #fault: unknown;
  onNotification: (notification: Notification) => void = () => undefined;

  private constructor(client: Client) {
    this.#client = client;
    this.#ended = new Promise((resolve) => {
      client.on("end", () => {
        this.#fail(new StoreFault({ kind: "cut" }));
        resolve();
      });
    });
    client.on("error", (error) => {
      this.#fail(error);
    });
    client.on("notice", ({ code, routine }) => {
      const [first] = this.#pending; // C1
      if (code === WARNING && routine !== HARMLESS && first !== undefined) first.isDoubtful = true;
    });
    client.on("notification", (notification) => {
      this.onNotification(notification);
    });
  }

  static async open(parts: ConnectionParts, limit: Limit): Promise<Session> {
    return new Session(await connect(parts, limit.leftMs));
  }

  /** Whether more can be asked. */
  get isUsable(): boolean {
    return this.#fault === undefined;
  }

  /** Settles when the connection has come to its end. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /** The server's process that answers here, if nothing stands between. */
  get processId(): number | undefined {
    return (this.#client as { processID?: number }).processID;
  }

  /**
   * @param statement prepared on its first use; a text alone is not
   * @throws StoreFault, or an error of the driver's
   */
  ask(statement: Statement | string, values: readonly unknown[], limit: Limit): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#fault !== undefined) {
        reject(asError(this.#fault));
        return;
      }
      if (limit.leftMs === 0) {
        reject(limit.fault());
        return;
      }
      const stop = limit.at(() => {
        this.#fail(limit.fault()); // C2
      });
      const pending: Pending = {
        isDoubtful: false,
        settle: (fault, answer) => {
          stop();
          if (answer === undefined) reject(asError(fault));
          else resolve(answer);
        },
      };
      this.#pending.push(pending);
      const query = typeof statement === "string" ? { text: statement } : statement;
      const config = { ...query, values: [...values], rowMode: "array" as const, types: RAW };
      this.#client.query<(string | null)[]>(config, (error, result) => {
        if (this.#pending[0] !== pending) return; // It has been settled with all the others.
        this.#pending.shift();
        this.#answered(pending, error, result);
      });
    });
  }

  #answered(
    pending: Pending,
    error: Error | undefined | null,
    result: { rows: Row[]; rowCount: number | null },
  ): void {
    if (error) {
      pending.settle(error);
      if (RETIRING.test(sqlState(error) ?? "")) this.#retire(error); // C4
    } else if (pending.isDoubtful) {
      pending.settle(new StoreFault({ kind: "unreplicated" })); // C3
    } else {
      pending.settle(undefined, { rows: result.rows, count: result.rowCount ?? 0 });
    }
    if (!this.isUsable && this.#pending.length === 0) void this.#leave();
  }

  // What is under way is still answered.
  #retire(fault: unknown): void {
    this.#fault ??= fault;
  }

  #fail(fault: unknown): void {
    this.#fault ??= fault;
    cut(this.#client);
    for (const { settle } of this.#pending.splice(0)) settle(fault);
  }

  async #leave(): Promise<void> {
    const late = setTimeout(() => {
      cut(this.#client);
    }, GOODBYE_MS);
    void this.#client.end().catch(() => undefined);
    await this.#ended;
    clearTimeout(late);
  }

  /** What is still under way is not waited for. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#pending.length > 0) this.#fail(new StoreFault({ kind: "closed" }));
    this.#retire(new StoreFault({ kind: "closed" }));
    await this.#leave();
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
