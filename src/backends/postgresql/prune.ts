// Rows outlive their leases, so a store that is asked for ever new names would grow for ever.
// Whoever makes rows therefore looks at a few times as many old ones, where the last one to do so
// has left off, and deletes those that nobody has needed for a day. Their tokens live on in the
// floor.

// At 4 looked at for each one made, the table is gone round before it has grown by a third.
const ROWS_PER_NEW_ROW = 4;
const MOST_ROWS_A_STEP = 2000;

/** One step at a time: what is owed meanwhile is done in the next. */
export class Pruning {
  readonly #look: (rows: number) => Promise<unknown>;
  #owed = 0;
  #isUnderWay = false;

  /** @param look looks at so many rows; when it fails, or somebody else is at it, others come */
  constructor(look: (rows: number) => Promise<unknown>) {
    this.#look = look;
  }

  /** Does the step that these new rows are worth, in the background. */
  add(newRows: number): void {
    this.#owed = Math.min(this.#owed + newRows * ROWS_PER_NEW_ROW, MOST_ROWS_A_STEP);
    if (!this.#isUnderWay) void this.#go();
  }

  async #go(): Promise<void> {
    this.#isUnderWay = true;
    while (this.#owed > 0) {
      const rows = this.#owed;
      this.#owed = 0;
      await this.#look(rows).catch(() => undefined);
    }
    this.#isUnderWay = false;
  }
}
