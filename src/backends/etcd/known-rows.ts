// Resources as this client's own writes have left them: guesses that save a look (E7).

import type { Row } from "./rows.js";

// About 1 KB each.
const MOST = 10_000;

export class KnownRows {
  // The one that was written last at the end.
  readonly #rows = new Map<string, Row>();

  /** Gives a guess away if it is of use: whoever has it writes, and remembers what then is there. */
  take(resource: string, isOfUse: (row: Row) => boolean): Row | undefined {
    const row = this.#rows.get(resource);
    this.#rows.delete(resource);
    return row !== undefined && isOfUse(row) ? row : undefined;
  }

  remember(resource: string, row: Row): void {
    this.#rows.delete(resource);
    this.#rows.set(resource, row);
    if (this.#rows.size <= MOST) return;
    const [oldest] = this.#rows.keys();
    if (oldest !== undefined) this.#rows.delete(oldest);
  }
}
