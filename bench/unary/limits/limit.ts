/**
 * What a store can do by itself, through its own driver, at the most: rows that are made and
 * deleted, durable before they are answered, without a rule of ours. A daemon cannot be faster.
 */
export interface Limit extends AsyncDisposable {
  /** Makes a row for each of these names, and deletes them. */
  pairs(names: readonly string[]): Promise<void>;
}

/** Opens the way to a store, by what a configuration says of its backend. */
export type OpenLimit = (settings: Readonly<Record<string, string>>) => Promise<Limit>;
