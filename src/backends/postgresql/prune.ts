// Rows outlive their leases, so a store that is asked for ever new names would grow for ever.
// Whoever makes rows therefore looks at a few times as many old ones, where the last one to do so
// has left off, and deletes those that nobody has needed for a day. Their tokens live on in the
// floor.

import type { Lane } from "./lane.js";
import type { Limit } from "./limit.js";

// At 4 looked at for each one made, the table is gone round before it has grown by a third.
const ROWS_PER_NEW_ROW = 4;
const MOST_ROWS_A_STEP = 2000;

/** Does the step that `newRows` rows are worth. */
export async function prune(lane: Lane, newRows: number, limit: Limit): Promise<void> {
  const most = Math.min(newRows * ROWS_PER_NEW_ROW, MOST_ROWS_A_STEP);
  await lane.ask((statements) => statements.prune, [most], limit);
}
