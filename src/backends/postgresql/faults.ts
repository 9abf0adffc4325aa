// What can be wrong with a database, and the one line that says so and what to do.

import { formatDuration } from "../../lock/duration.js";
import { LockError } from "../../lock/errors.js";

export type Fault =
  | { readonly kind: "slow"; readonly afterMs: number }
  | {
      readonly kind:
        "cut" | "closed" | "unreplicated" | "locked" | "gone" | "recovery" | "read-only";
    }
  | {
      readonly kind: "version" | "encoding" | "rights" | "no-table" | "foreign";
      readonly what: string;
    };

/** Something wrong that is not an error of the driver's. */
export class StoreFault extends Error {
  readonly fault: Fault;

  constructor(fault: Fault) {
    super(fault.kind);
    this.fault = fault;
  }
}

/** Where something went wrong, for messages: nothing of it is a secret. */
export interface Place {
  /** host:port/database */
  readonly database: string;
  readonly user: string;
  readonly table: string;
}

/** The five characters by which PostgreSQL tells its errors apart. */
export function sqlState(thrown: unknown): string | undefined {
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
  return typeof code === "string" && /^[0-9A-Z]{5}$/u.test(code) ? code : undefined;
}

export const SQL_STATE = {
  lockNotAvailable: "55P03",
  uniqueViolation: "23505",
  duplicateTable: "42P07",
  duplicateType: "42710",
  undefinedTable: "42P01",
} as const;

/** What stops a caller, in one line that names the place, what is wrong and what to do. */
export function unavailable(thrown: unknown, place: Place): LockError {
  if (thrown instanceof LockError) return thrown;
  // The driver's own error may quote values, lease ids among them: it goes no further.
  const code = sqlState(thrown);
  const cause = code === undefined ? thrown : new Error(`SQLSTATE ${code}`);
  return new LockError("unavailable", explain(thrown, place), { cause });
}

function explain(thrown: unknown, place: Place): string {
  if (thrown instanceof StoreFault) return explainFault(thrown.fault, place);
  const { database, user, table } = place;
  const message = (thrown instanceof Error ? thrown.message : String(thrown)).replace(/\s+/gu, " ");
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : "";
  switch (code) {
    case "28P01":
    case "28000":
      return `the database ${database} refuses ${user} (${message}): correct user and password in \`connection\`, or the server's pg_hba.conf`;
    case "3D000":
      return `the database ${database} does not exist: create it, or correct \`connection\``;
    case "3F000":
      return `the database ${database} has no schema for the table ${table}: create it, or correct \`table\``;
    case "53300":
      return `the database ${database} has no connection left (${message}): raise its max_connections, or close others`;
    case "53100":
      return `the database ${database} has no space left on its disk: make room; nothing that was granted is lost`;
    case "42501":
      return `${user} may not use the table ${table} of ${database} (${message}): ${grantWords(place)}`;
    case "42P01":
      return explainFault({ kind: "no-table", what: "" }, place);
    case "25006":
      return explainFault({ kind: "read-only" }, place);
    case "55P03":
      return explainFault({ kind: "locked" }, place);
    case "57014":
      return `the database ${database} stopped a statement that took too long or was cancelled: look for its load, and for locks on the table ${table}`;
    case "57P01":
    case "57P02":
    case "57P03":
      return `the database ${database} is starting or stopping (${message}): the next call tries again`;
  }
  if (/^(?:E[A-Z]+|EAI_.*)$/u.test(code) || message === "timeout expired") {
    const how = code === "" ? "no answer in time" : message || code;
    return `the database ${database} cannot be reached (${how}): see that it runs and that \`connection\` is right`;
  }
  if (/SSL|TLS|certificate|self.signed/iu.test(`${code} ${message}`)) {
    return `the database ${database} cannot be reached over TLS (${message}): correct sslmode and sslrootcert in \`connection\`, or the server's certificate`;
  }
  if (message.startsWith("SASL")) {
    return `the database ${database} wants another password of ${user} than \`connection\`, PGPASSWORD or the pass file has (${message})`;
  }
  if (message.startsWith("Connection terminated")) return explainFault({ kind: "cut" }, place);
  // Class 22 is about values, and quotes them.
  const said = code.startsWith("22") ? "a value that it cannot take" : message;
  return `the database ${database} cannot be used: ${said}${code === "" ? "" : ` (${code})`}`;
}

function explainFault(fault: Fault, place: Place): string {
  const { database, table, user } = place;
  switch (fault.kind) {
    case "slow":
      return `the database ${database} has not answered within ${formatDuration(Math.round(fault.afterMs))}: see whether it is overloaded, stopped or out of reach; the next call connects anew`;
    case "cut":
      return `the connection to the database ${database} broke: the next call connects anew; ask again with the same lease id`;
    case "closed":
      return `the store ${database} has been closed here`;
    case "unreplicated":
      return `the database ${database} wrote, but nobody knows whether its standby has it: ask again with the same lease id, and see to the standby`;
    case "locked":
      return `another session keeps a lock on the table ${table} of ${database}, or on a row of it: look for it in pg_stat_activity and pg_locks, and end its transaction`;
    case "gone":
      return `somebody deletes rows of the table ${table} of ${database} while locks are taken: leave that to Stormlock; ask again with the same lease id`;
    case "recovery":
      return `the database ${database} is a read replica (pg_is_in_recovery): name the primary in \`connection\``;
    case "read-only":
      return `the database ${database} takes no writes just now: name the primary in \`connection\`, or see why default_transaction_read_only is on`;
    case "version":
      return `the database ${database} is PostgreSQL ${fault.what}: 12 or newer is needed`;
    case "encoding":
      return `the database ${database} is encoded in ${fault.what}: create one with ENCODING 'UTF8', and name it in \`connection\``;
    case "rights":
      return `${user} has no right to ${fault.what} on the table ${table} of ${database}: ${grantWords(place)}`;
    case "no-table":
      return `the database ${database} has no table ${table}: create it, or set \`create_table = true\``;
    case "foreign":
      return `the table ${table} of ${database} is not one of Stormlock's (${fault.what}): name another in \`table\`; it is left as it is`;
  }
}

/** What to say of a server that does not wait for its disk. */
export function undurable({ database }: Place): string {
  return `the database ${database} runs with fsync off, so the guarantee is best effort + fencing, not single-node durable: a crash may lose leases or the table; set fsync on, or let what is protected check tokens`;
}

function grantWords({ table, user }: Place): string {
  return `let its owner GRANT SELECT, INSERT, UPDATE, DELETE ON ${table} TO ${user}`;
}
