// Making the table ahead, by whoever may: the daemon's own role then needs no right to.

import type { Clock } from "../../lock/clock.js";
import { LockError } from "../../lock/errors.js";
import { parseDuration } from "../../lock/duration.js";
import type { BackendSetup } from "../type.js";
import { unavailable } from "./faults.js";
import { Limit } from "./limit.js";
import { connectionParts, quotedTable } from "./names.js";
import { Session } from "./session.js";
import { DEFAULT_TABLE, DEFAULT_TIMEOUT, type PostgresqlSettings } from "./settings.js";
import { tableSql } from "./statements.js";
import { prepare } from "./table.js";

/** The table as SQL, and how it is made; `create_table = false` does not keep setup from it. */
export function postgresqlSetup(settings: PostgresqlSettings): BackendSetup {
  const { table = DEFAULT_TABLE } = settings;
  return {
    text: [
      `${tableSql(quotedTable(table))};`,
      "-- For the role that is to use it, where it is not the owner:",
      `-- GRANT SELECT, INSERT, UPDATE, DELETE ON ${quotedTable(table)} TO ...;`,
    ].join("\n"),
    run: ({ clock }) => makeTable(settings, clock),
  };
}

async function makeTable(settings: PostgresqlSettings, clock: Clock): Promise<string> {
  const { connection, table = DEFAULT_TABLE, timeout = DEFAULT_TIMEOUT } = settings;
  const parts = connectionParts(connection);
  if ("problem" in parts) {
    throw new LockError("invalid-field", `connection ${parts.problem}`, { field: "connection" });
  }
  const { host, port, dbname, user } = parts;
  const place = { database: `${host}:${port}/${dbname}`, user, table };
  const timeoutMs = parseDuration(timeout) ?? 5000;
  const limit = new Limit(clock, timeoutMs);
  try {
    await using session = await Session.open(parts, limit);
    const { rows } = await session.ask(IS_THERE, [quotedTable(table)], limit);
    await prepare(session, { table, isCreated: true, timeoutMs }, limit);
    const isThere = rows[0]?.[0] === "t";
    return `${isThere ? "there is" : "made"} the table ${table} in ${place.database}`;
  } catch (thrown) {
    throw unavailable(thrown, place);
  }
}

const IS_THERE = "SELECT to_regclass($1) IS NOT NULL";
