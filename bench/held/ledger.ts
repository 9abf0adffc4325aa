// What has been written to an embedded store, as its file tells.

import { readFileSync } from "node:fs";
import { loadDriver, type Database, type Statement } from "../../src/backends/sqlite/driver.js";

// Where the index of the log counts the transactions: the third number of its header.
const TRANSACTIONS_AT = 8;

export interface Written {
  /** How often leases have been renewed. */
  readonly renewals: number;
  readonly transactions: number;
}

export class Ledger implements Disposable {
  readonly #path: string;
  readonly #database: Database;
  readonly #renewals: Statement;

  private constructor(path: string, database: Database) {
    this.#path = path;
    this.#database = database;
    // A lease's revision is its token when it is granted, and one more with every renewal.
    this.#renewals = database.prepare("SELECT sum(revision - token) AS renewals FROM leases");
  }

  static async open(path: string): Promise<Ledger> {
    const { DatabaseSync } = await loadDriver();
    return new Ledger(path, new DatabaseSync(path));
  }

  read(): Written {
    const transactions = readFileSync(`${this.#path}-shm`).readUInt32LE(TRANSACTIONS_AT);
    return { renewals: Number(this.#renewals.get()?.["renewals"] ?? 0), transactions };
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}
