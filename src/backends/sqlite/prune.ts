// Rows outlive their leases, so a store that is asked for ever new names would grow for ever.
// Whoever adds rows therefore looks at a few times as many old ones, going round the table,
// and deletes those that nobody has needed for a day. Their tokens live on in the floor.

import type { Database, Statement } from "./driver.js";
import { FIRST_KEY, keyAfter } from "./keys.js";

/** How long a row stays after its lease has ended: longer than any duplicate is under way. */
const KEEP_ROWS_US = 24 * 60 * 60 * 1_000_000;

// At 4 looked at for each one added, the table is gone round before it has grown by a third.
const ROWS_PER_NEW_ROW = 4;
const MOST_ROWS_A_STEP = 2048;

export interface Sweep {
  readonly sweptTo: Uint8Array;
  readonly tokenFloor: number;
}

export class Pruning {
  readonly #look: Statement;
  readonly #delete: Statement;
  readonly #note: Statement;

  constructor(database: Database) {
    this.#look = database.prepare(
      `SELECT resource, token, CASE WHEN released THEN touched_us ELSE expires_us END AS ended_us
       FROM leases WHERE resource >= ? ORDER BY resource LIMIT ?`,
    );
    this.#delete = database.prepare("DELETE FROM leases WHERE resource = ?");
    this.#note = database.prepare("UPDATE store SET swept_to = ?, token_floor = ?");
  }

  /** Does the step that `newRows` rows are worth. Call it inside a write transaction. */
  step(newRows: number, { sweptTo, tokenFloor }: Sweep, nowUs: number): void {
    const limit = Math.min(newRows * ROWS_PER_NEW_ROW, MOST_ROWS_A_STEP);
    const rows = this.#look.all(sweptTo, limit);
    let floor = tokenFloor;
    for (const row of rows) {
      if (nowUs - Number(row["ended_us"]) < KEEP_ROWS_US) continue;
      floor = Math.max(floor, Number(row["token"]));
      this.#delete.run(row["resource"] ?? null);
    }
    const last = rows.at(-1)?.["resource"];
    const isRound = rows.length < limit || !(last instanceof Uint8Array);
    this.#note.run(isRound ? FIRST_KEY : keyAfter(last), floor);
  }
}
