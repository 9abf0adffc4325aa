// Rows outlive their leases, so a store that is asked for ever new names would grow for ever.
// Whoever makes rows therefore looks at a few times as many old ones, going round the table, and
// deletes those that nobody has needed for a day. Their tokens live on in the floor.

import type { Lane } from "./lane.js";
import type { Limit } from "./limit.js";

// At 4 looked at for each one made, the table is gone round before it has grown by a third.
const ROWS_PER_NEW_ROW = 4;
const MOST_ROWS_A_STEP = 2000;

const BEFORE_ALL = Buffer.alloc(0);

export class Pruning {
  readonly #lane: Lane;
  #sweptTo: Buffer = BEFORE_ALL;

  constructor(lane: Lane) {
    this.#lane = lane;
  }

  /** Does the step that `newRows` rows are worth. */
  async step(newRows: number, limit: Limit): Promise<void> {
    const most = Math.min(newRows * ROWS_PER_NEW_ROW, MOST_ROWS_A_STEP);
    const { rows } = await this.#lane.ask(({ prune }) => prune, [this.#sweptTo, most], limit);
    const last = rows.at(-1)?.[0];
    const isRound = rows.length < most || last === undefined || last === null;
    this.#sweptTo = isRound ? BEFORE_ALL : Buffer.from(last, "hex");
  }
}
