// Looks at the server and its table whenever a connection is made: since the last one it may
// have become a replica, or another server may answer under its name.

import { SQL_STATE, sqlState, StoreFault } from "./faults.js";
import type { Limit } from "./limit.js";
import { quotedTable } from "./names.js";
import type { Row, Session } from "./session.js";
import { COLUMNS, tableSql } from "./statements.js";

export interface TableOptions {
  /** `table` or `schema.table`. */
  readonly table: string;
  readonly isCreated: boolean;
  /** How long any call may take: the server gives up sooner. */
  readonly timeoutMs: number;
}

const OLDEST_VERSION = 120_000;

// Several that make the same table at once fail in several ways, and only one of them succeeds.
const MOST_ATTEMPTS = 10;
const MADE_BY_ANOTHER: ReadonlySet<string> = new Set([
  SQL_STATE.uniqueViolation,
  SQL_STATE.duplicateTable,
  SQL_STATE.duplicateType,
]);

// How long a statement may wait for a row that somebody else has locked.
const LONGEST_LOCK_MS = 1000;

/** What the session is told, whatever the role or the database has been given as its defaults. */
function parameters(timeoutMs: number): readonly [string, string][] {
  return [
    // Less than the call's own limit, so that the connection outlives what took too long.
    ["statement_timeout", String(Math.floor(timeoutMs * 0.8))],
    ["lock_timeout", String(Math.min(LONGEST_LOCK_MS, Math.floor(timeoutMs / 4)))],
    ["default_transaction_isolation", "read committed"],
    // A warning tells of a commit that has not been replicated.
    ["client_min_messages", "warning"],
    ["bytea_output", "hex"],
    // Our few joins are all from few rows to an index. Guesses from an empty table's statistics,
    // kept for as long as a statement stays prepared, are worse than none.
    ["plan_cache_mode", "force_generic_plan"],
    ...["enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_bitmapscan", "jit"].map(
      (name): [string, string] => [name, "off"],
    ),
  ];
}

const INTRODUCE = `
  SELECT current_setting('server_version_num'), pg_is_in_recovery(),
    current_setting('transaction_read_only'), current_setting('server_encoding'),
    -- An answer has to be durable when it is given.
    CASE WHEN current_setting('synchronous_commit') = 'off'
      THEN set_config('synchronous_commit', 'on', false) END,
    (SELECT count(set_config(name, value, false))
      FROM unnest($1::text[], $2::text[]) AS parameters (name, value)
      WHERE current_setting('server_version_num')::int >= ${String(OLDEST_VERSION)})`;

const INSPECT = `
  SELECT c.oid, 'stormlock_' || md5(n.nspname || '.' || c.relname), c.relkind, c.relpersistence,
    row_security_active(c.oid),
    (SELECT string_agg(name, ', ') FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r (name)
      WHERE NOT has_table_privilege(c.oid, name)),
    EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
      WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
        AND i.indnkeyatts = 1 AND a.attname = 'resource'),
    (SELECT json_agg(json_build_array(a.attname, format_type(a.atttypid, NULL),
        a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''))
      FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.oid = to_regclass($1)`;

/**
 * Makes a new connection ready, and the table if it is missing.
 * @returns the name of the channel on which releases are told
 * @throws StoreFault, or an error of the driver's
 */
export async function prepare(
  session: Session,
  options: TableOptions,
  limit: Limit,
): Promise<string> {
  const table = quotedTable(options.table);
  await inspectServer(session, options.timeoutMs, limit);
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    const { rows } = await session.ask(INSPECT, [table], limit);
    const [row] = rows;
    if (row !== undefined) return inspectTable(row);
    if (!options.isCreated) break;
    try {
      await session.ask(tableSql(table), [], limit);
    } catch (error) {
      if (!MADE_BY_ANOTHER.has(sqlState(error) ?? "")) throw error;
    }
  }
  throw new StoreFault({ kind: "no-table", what: "" });
}

async function inspectServer(session: Session, timeoutMs: number, limit: Limit): Promise<void> {
  const told = parameters(timeoutMs);
  const values = [told.map(([name]) => name), told.map(([, value]) => value)];
  const { rows } = await session.ask(INTRODUCE, values, limit);
  const [version, isReplica, isReadOnly, encoding] = rows[0] ?? [];
  if (Number(version) < OLDEST_VERSION) {
    const major = Math.floor(Number(version) / 10_000);
    throw new StoreFault({ kind: "version", what: String(major) });
  }
  if (isReplica === "t") throw new StoreFault({ kind: "recovery" });
  if (isReadOnly === "on") throw new StoreFault({ kind: "read-only" });
  if (encoding !== "UTF8")
    throw new StoreFault({ kind: "encoding", what: encoding ?? "SQL_ASCII" });
}

function inspectTable(row: Row): string {
  const [, channel, kind, persistence, hidesRows, missingRights, hasKey, columns] = row;
  const foreign = (what: string): StoreFault => new StoreFault({ kind: "foreign", what });
  if (kind !== "r") throw foreign("it is a view, a partitioned or a foreign table");
  const found = JSON.parse(columns ?? "[]") as readonly [string, string, boolean][];
  const types = new Map(found.map(([name, type]) => [name, type]));
  for (const [name, type] of COLUMNS) {
    const foundType = types.get(name);
    if (foundType === undefined) throw foreign(`it has no column ${name}`);
    if (foundType !== type) throw foreign(`its column ${name} is ${foundType}, not ${type}`);
  }
  const extra = found.find(([name, , isNeeded]) => isNeeded && !COLUMNS.has(name));
  if (extra !== undefined) throw foreign(`its column ${extra[0]} wants values`);
  if (hasKey !== "t") throw foreign("its column resource is not unique by itself");
  if (persistence !== "p") throw foreign("it is unlogged or temporary, and a crash would empty it");
  if (hidesRows === "t") throw foreign("row level security hides rows of it");
  if (missingRights !== null) {
    throw new StoreFault({ kind: "rights", what: missingRights ?? "" });
  }
  return channel ?? "";
}
