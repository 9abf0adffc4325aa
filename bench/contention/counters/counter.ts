/** Counts what reaches a store, at the store. */
export interface Counter extends AsyncDisposable {
  /** How much has, since the store was started. */
  operations(): Promise<number>;
}

/** @param settings the backend's section of a configuration */
export type OpenCounter = (settings: Readonly<Record<string, string>>) => Promise<Counter>;
