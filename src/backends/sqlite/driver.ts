// The one place where SQLite itself is chosen: Node's own module where it does what is needed
// here, and on older Node a package with the same API and the binary in it.

/** A value as SQLite takes and gives it. Whole numbers stay below 2^53 (see host-clock.ts). */
type Value = string | number | null | Uint8Array;

type Row = Readonly<Record<string, Value>>;

export interface Statement {
  get(...values: readonly Value[]): Row | undefined;
  all(...values: readonly Value[]): readonly Row[];
  run(...values: readonly Value[]): unknown;
}

export interface Database {
  readonly isOpen: boolean;
  readonly isTransaction: boolean;
  exec(sql: string): void;
  prepare(sql: string): Statement;
  close(): void;
}

export interface Driver {
  readonly DatabaseSync: new (path: string) => Database;
}

export async function loadDriver(): Promise<Driver> {
  return builtIn() ?? (await import("@photostructure/sqlite"));
}

function builtIn(): Driver | undefined {
  // Node 22 and 24 print "SQLite is an experimental feature" when the module is first loaded,
  // on the terminal of somebody who only wanted a lock. That one warning is dropped, no other.
  const emitWarning = process.emitWarning.bind(process);
  process.emitWarning = (warning: string | Error, ...rest: never[]): void => {
    if (!String(warning).includes("SQLite is an experimental feature"))
      emitWarning(warning, ...rest);
  };
  try {
    // Not an import: bundlers and older Node would look for the module before it is known
    // whether there is one. Node 20 has had getBuiltinModule since 20.16.
    const driver = process.getBuiltinModule("node:sqlite") as Driver | undefined;
    return driver !== undefined && isWhole(driver) ? driver : undefined;
  } finally {
    process.emitWarning = emitWarning;
  }
}

// The module came without a flag in Node 22.13, but it was not done yet: `isOpen` came in 22.15,
// `isTransaction` in 22.16 and 24.0, and before 22.20 and 24.7 it took no value for `?1`. Without any
// one of them no lock can be granted. Tried, not told by the version: it takes a quarter of a millisecond.
function isWhole({ DatabaseSync }: Driver): boolean {
  const database = new DatabaseSync(":memory:");
  try {
    if (typeof database.isOpen !== "boolean" || typeof database.isTransaction !== "boolean")
      return false;
    return database.prepare("SELECT ?1 + ?1 AS sum").get(21)?.["sum"] === 42;
  } catch {
    return false;
  } finally {
    database.close();
  }
}

/** SQLite's own number for what went wrong, without the extended part; undefined if it is not SQLite's. */
export function sqliteCode(thrown: unknown): number | undefined {
  const code = (thrown as { errcode?: unknown } | undefined)?.errcode;
  return typeof code === "number" ? code & 0xff : undefined;
}

export const SQLITE = {
  perm: 3,
  busy: 5,
  locked: 6,
  readonly: 8,
  ioerr: 10,
  corrupt: 11,
  full: 13,
  cantopen: 14,
  notadb: 26,
} as const;
