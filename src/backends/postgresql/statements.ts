// The SQL. One statement answers a batch.
//
//   P1. A row is locked first, and then the clock is read, and then both are judged. A clock
//       read before a wait for the lock would find leases alive that have ended meanwhile.
//       Hence `clock`, which cannot be read before `locked` is complete; and never now(), the
//       start of the transaction.
//   P2. A token is made of the locked row's, for the same reason: never of EXCLUDED, which is
//       computed before the lock.
//   P3. Rows are locked in the order of their names, whatever the order of the questions: two
//       that lock the same rows wait for each other in one direction only.
//   P4. A row that another session has locked is passed over (SKIP LOCKED), and asked for again
//       by itself: whoever holds one row up holds up no other.
//   P5. What is held by another is seen without a lock, and nothing is written for it.
//   P6. Only rows that are there are granted. One that is missing is made first, empty, by a
//       statement of its own. So a row that was pruned meanwhile is either not seen, or seen
//       together with the floor that its token has left behind; and a statement that makes
//       rows never waits while it has others locked.
//   P7. What only makes empty rows, or prunes, need not be durable at once. What a crash takes back
//       of it is made or pruned again, and whatever rests on it is durable only together with it.
//   P8. The row of no name, which all share, is waited for by nobody who has others behind him: who
//       finds it locked prunes nothing this time.
//
// Joins go from few rows to the table's index, never between two lists of many.

/** A statement that is prepared under its name. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

export interface Statements {
  /** Each in two kinds: one that passes over locked rows, and one that waits for them. */
  readonly acquire: Patience;
  readonly renew: Patience;
  readonly release: Patience;
  /** Answers only what goes from a holder to the next: of the rest nothing has been changed. */
  readonly handOver: Patience;
  /** Makes empty rows for these resources, where there are none. */
  readonly make: Patience;
  /** Which of these resources have these last ids. */
  readonly find: Statement;
  readonly current: Statement;
  readonly list: Statement;
  readonly prune: Statement;
  /** Whether what is told as durable is. */
  readonly durability: Statement;
  /** Proves that a write can be made durable, if it has changed a row. */
  readonly touch: Patience;
}

export interface Patience {
  readonly passing: Statement;
  readonly waiting: Statement;
}

/**
 * The table. Names are kept as bytes: they are ordered by them, and a text has no NUL. Times are
 * µs since 1970 by the server's clock. A row outlives its lease and remembers its token and its
 * last id; the row of no name keeps the floor of tokens, and where the search for old rows goes on. Renewals leave the index alone, and
 * find room beside the row (fillfactor), so that they cost no work later.
 */
export function tableSql(table: string): string {
  return `CREATE TABLE IF NOT EXISTS ${table} (
  resource   bytea PRIMARY KEY,
  lease_id   text NOT NULL,
  principal  text NOT NULL,
  token      bigint NOT NULL,
  created_us bigint NOT NULL,
  expires_us bigint NOT NULL, -- 0 once released
  ttl_ms     bigint NOT NULL,
  revision   bigint NOT NULL,
  touched_us bigint NOT NULL,
  reason     text NOT NULL,
  labels     text NOT NULL
) WITH (fillfactor = 70)`;
}

/** What the table must have, as the catalogue names it. */
export const COLUMNS: ReadonlyMap<string, string> = new Map([
  ["resource", "bytea"],
  ...["lease_id", "principal", "reason", "labels"].map((name) => [name, "text"] as const),
  ...["token", "created_us", "expires_us", "ttl_ms", "revision", "touched_us"].map(
    (name) => [name, "bigint"] as const,
  ),
]);

const NOW_US = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
const START = `start AS MATERIALIZED (SELECT ${NOW_US} AS now_us)`;
// An aggregate is complete before anything else of its row is computed (P1).
const CLOCK = `clock AS MATERIALIZED (SELECT count(*), ${NOW_US} AS now_us FROM locked)`;
const LAZILY = `lazily AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))`; // P7
const FLOOR = "'\\x'::bytea";

// Whoever makes the same row just now is done sooner than this, unless he is stuck (P4).
const MAKER_MS = 50;
const HASTILY = `hastily AS MATERIALIZED (SELECT set_config('lock_timeout', '${String(MAKER_MS)}', true))`;

// How long a row stays after its lease has ended: longer than any duplicate is under way.
const KEEP_ROWS_US = 24 * 60 * 60 * 1_000_000;

// What PostgreSQL takes as a notification's payload, in bytes.
const MOST_PAYLOAD = 7999;

// The columns of an answer, from a row that is called `of`.
const lease = (of: string, now: string): string =>
  `${of}.lease_id, ${of}.principal, ${of}.token, ${of}.ttl_ms, ${of}.expires_us - ${now}.now_us,
   ${of}.created_us, ${of}.expires_us, ${of}.revision, ${of}.reason, ${of}.labels`;

const NO_LEASE = new Array<string>(10).fill("NULL").join(", ");

/** @param table in quotes @param channel where releases are told, in quotes */
export function statements(table: string, channel: string): Statements {
  const patience = (name: string, text: (lock: string) => string): Patience => ({
    passing: { name: `stormlock_${name}`, text: text("FOR UPDATE OF t SKIP LOCKED") },
    waiting: { name: `stormlock_${name}_waiting`, text: text("FOR UPDATE OF t") },
  });

  // The values of a row in the order of COLUMNS.
  const empty = (resource: string, token: string, reason = "''"): string =>
    `${resource}, '', '', ${reason}, '{}', ${token}, 0, 0, 0, 0, ${NOW_US}`;
  const columns = [...COLUMNS.keys()].join(", ");

  const make = (also: string): string => `
    WITH ${LAZILY}, ${also}
    INSERT INTO ${table} AS t (${columns}) SELECT ${empty("resource", "0")}
    FROM lazily, hastily, unnest($1::bytea[]) AS a (resource)
    WHERE NOT EXISTS (SELECT FROM ${table} o WHERE o.resource = a.resource)
    ORDER BY a.resource ON CONFLICT (resource) DO NOTHING`;

  // What makes a locked row the lease of who has asked (P2).
  const granted = `
        lease_id = locked.new_id, principal = locked.new_principal,
        token = greatest(clock.now_us, 1 + greatest(locked.token,
          (SELECT f.token FROM ${table} f WHERE f.resource = ${FLOOR}))),
        created_us = clock.now_us, expires_us = clock.now_us + locked.new_ttl_ms * 1000,
        ttl_ms = locked.new_ttl_ms, revision = locked.revision + 1, touched_us = clock.now_us,
        reason = locked.new_reason, labels = locked.new_labels`;

  const acquire = (lock: string): string => `
    WITH asked AS MATERIALIZED (
      SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[])
        WITH ORDINALITY AS a (resource, new_id, new_principal, new_ttl_ms, new_reason, new_labels, ord)
    ), ${START}, seen AS MATERIALIZED (
      SELECT asked.ord, asked.new_id, asked.new_principal, asked.new_ttl_ms, asked.new_reason,
        asked.new_labels, t.*, t.expires_us > start.now_us AND t.lease_id <> asked.new_id AS is_busy
      FROM start, asked JOIN ${table} t ON t.resource = asked.resource
    ), locked AS MATERIALIZED (
      SELECT seen.ord, seen.new_id, seen.new_principal, seen.new_ttl_ms, seen.new_reason,
        seen.new_labels, t.*, t.lease_id = seen.new_id AS is_own
      FROM seen JOIN ${table} t ON t.resource = seen.resource
      WHERE NOT seen.is_busy ORDER BY t.resource ${lock}
    ), ${CLOCK}, granted AS (
      UPDATE ${table} t SET ${granted}
      FROM locked, clock
      WHERE t.resource = locked.resource AND NOT is_own AND locked.expires_us <= clock.now_us
      RETURNING locked.ord, ${lease("t", "clock")}
    ), extended AS (
      UPDATE ${table} t SET
        expires_us = greatest(locked.expires_us, clock.now_us + locked.new_ttl_ms * 1000),
        ttl_ms = locked.new_ttl_ms, revision = locked.revision + 1, touched_us = clock.now_us
      FROM locked, clock
      WHERE t.resource = locked.resource AND is_own AND locked.expires_us > clock.now_us
      RETURNING locked.ord, ${lease("t", "clock")}
    )
    SELECT 'granted', granted.* FROM granted
    UNION ALL SELECT 'extended', extended.* FROM extended
    UNION ALL SELECT CASE WHEN is_own THEN 'spent' ELSE 'held' END, ord, ${lease("locked", "clock")}
      FROM locked, clock WHERE is_own = (locked.expires_us <= clock.now_us)
    UNION ALL SELECT 'held', ord, ${lease("seen", "start")} FROM seen, start WHERE is_busy`;

  const renew = (lock: string): string => `
    WITH asked AS MATERIALIZED (
      SELECT * FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[])
        WITH ORDINALITY AS a (resource, lease_id, new_ttl_ms, age_ms, ord)
    ), locked AS MATERIALIZED (
      SELECT asked.ord, asked.age_ms, coalesce(asked.new_ttl_ms, t.ttl_ms) AS new_ttl_ms,
        t.resource, t.expires_us, t.revision
      FROM asked JOIN ${table} t ON t.resource = asked.resource AND t.lease_id = asked.lease_id
      ORDER BY t.resource ${lock}
    ), ${CLOCK}, renewed AS (
      UPDATE ${table} t SET
        expires_us = greatest(locked.expires_us,
          clock.now_us + (locked.new_ttl_ms - locked.age_ms) * 1000),
        ttl_ms = locked.new_ttl_ms, revision = locked.revision + 1, touched_us = clock.now_us
      FROM locked, clock
      WHERE t.resource = locked.resource AND locked.expires_us > clock.now_us
      RETURNING locked.ord, ${lease("t", "clock")}
    )
    SELECT 'renewed', renewed.* FROM renewed
    UNION ALL SELECT 'lost', ord, ${NO_LEASE}
      FROM locked, clock WHERE locked.expires_us <= clock.now_us`;

  // The names of what was released go out with the release itself, if they fit.
  const release = (lock: string): string => `
    WITH asked AS MATERIALIZED (
      SELECT * FROM unnest($1::bytea[], $2::text[], $3::bigint[])
        WITH ORDINALITY AS a (resource, lease_id, if_revision, ord)
    ), locked AS MATERIALIZED (
      SELECT asked.ord, asked.if_revision, t.resource, t.expires_us, t.revision
      FROM asked JOIN ${table} t ON t.resource = asked.resource AND t.lease_id = asked.lease_id
      ORDER BY t.resource ${lock}
    ), ${CLOCK}, released AS (
      UPDATE ${table} t SET expires_us = 0, revision = locked.revision + 1, touched_us = clock.now_us
      FROM locked, clock
      WHERE t.resource = locked.resource AND locked.expires_us > clock.now_us
        AND coalesce(locked.if_revision = locked.revision, true)
      RETURNING locked.ord, t.resource
    ), names AS MATERIALIZED (
      SELECT coalesce(string_agg(encode(resource, 'hex'), ' '), '') AS list, count(*) FROM released
    ), told AS MATERIALIZED (
      SELECT pg_notify('${channel}', CASE WHEN length(list) <= ${String(MOST_PAYLOAD)} THEN list ELSE '' END)
      FROM names WHERE count > 0
    )
    SELECT 'released', released.ord FROM released, (SELECT count(*) FROM told) AS hint
    UNION ALL SELECT 'not-held', ord FROM locked, clock
      WHERE NOT (locked.expires_us > clock.now_us AND coalesce(if_revision = revision, true))`;

  // A holder's own row, alive and unchanged as far as that was asked. Nobody need be told.
  const handOver = (lock: string): string => `
    WITH asked AS MATERIALIZED (
      SELECT * FROM unnest($1::bytea[], $2::text[], $3::bigint[],
          $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[])
        WITH ORDINALITY AS a (resource, old_id, if_revision,
          new_id, new_principal, new_ttl_ms, new_reason, new_labels, ord)
    ), locked AS MATERIALIZED (
      SELECT asked.ord, asked.if_revision, asked.new_id, asked.new_principal, asked.new_ttl_ms,
        asked.new_reason, asked.new_labels, t.resource, t.token, t.expires_us, t.revision
      FROM asked JOIN ${table} t ON t.resource = asked.resource AND t.lease_id = asked.old_id
      WHERE asked.new_id <> asked.old_id ORDER BY t.resource ${lock}
    ), ${CLOCK}, handed AS (
      UPDATE ${table} t SET ${granted}
      FROM locked, clock
      WHERE t.resource = locked.resource AND locked.expires_us > clock.now_us
        AND coalesce(locked.if_revision = locked.revision, true)
      RETURNING locked.ord, ${lease("t", "clock")}
    )
    SELECT 'granted', handed.* FROM handed`;

  return {
    acquire: patience("acquire", acquire),
    renew: patience("renew", renew),
    release: patience("release", release),
    handOver: patience("hand_over", handOver),
    make: {
      passing: { name: "stormlock_make", text: make(HASTILY) },
      waiting: { name: "stormlock_make_waiting", text: make("hastily AS (SELECT)") },
    },
    find: {
      name: "stormlock_find",
      text: `
        SELECT 'found', asked.ord
        FROM unnest($1::bytea[], $2::text[]) WITH ORDINALITY AS asked (resource, lease_id, ord)
        JOIN ${table} t ON t.resource = asked.resource AND t.lease_id = asked.lease_id`,
    },
    current: {
      name: "stormlock_current",
      text: `
        WITH ${START} SELECT 'held', asked.ord, ${lease("t", "start")}
        FROM start, unnest($1::bytea[]) WITH ORDINALITY AS asked (resource, ord)
        JOIN ${table} t ON t.resource = asked.resource
        WHERE t.expires_us > start.now_us`,
    },
    list: {
      name: "stormlock_list",
      text: `
        WITH ${START} SELECT 'held', encode(t.resource, 'hex'), ${lease("t", "start")}
        FROM start, ${table} t
        WHERE t.resource >= $1 AND t.resource < $2 AND t.expires_us > start.now_us
        ORDER BY t.resource LIMIT $3`,
    },
    prune: {
      name: "stormlock_prune",
      text: `
        WITH ${START}, floor AS MATERIALIZED (
          SELECT t.reason FROM ${table} t WHERE t.resource = ${FLOOR} FOR UPDATE OF t SKIP LOCKED
        ), turn AS MATERIALIZED (
          SELECT decode(reason, 'hex') AS swept_to FROM floor
          UNION ALL SELECT ${FLOOR} WHERE NOT EXISTS (SELECT FROM ${table} f WHERE f.resource = ${FLOOR})
        ), looked AS MATERIALIZED (
          SELECT t.resource, greatest(t.expires_us, t.touched_us) AS idle_since_us
          FROM turn, ${table} t WHERE t.resource > turn.swept_to
          ORDER BY t.resource LIMIT $1
        ), old AS MATERIALIZED (
          SELECT t.resource, t.token
          FROM start, looked JOIN ${table} t ON t.resource = looked.resource
          WHERE looked.idle_since_us < start.now_us - ${String(KEEP_ROWS_US)}
            AND greatest(t.expires_us, t.touched_us) < start.now_us - ${String(KEEP_ROWS_US)}
          ORDER BY t.resource FOR UPDATE OF t SKIP LOCKED
        ), gone AS (
          DELETE FROM ${table} t USING old WHERE t.resource = old.resource RETURNING old.token
        ), ${LAZILY}, swept AS MATERIALIZED (
          SELECT CASE WHEN count(*) < $1 THEN '' ELSE
            (SELECT encode(l.resource, 'hex') FROM looked l ORDER BY l.resource DESC LIMIT 1)
          END AS until FROM looked
        )
        INSERT INTO ${table} AS t (${columns})
        SELECT ${empty(FLOOR, "coalesce((SELECT max(token) FROM gone), 0)", "swept.until")} FROM lazily, turn, swept
        ON CONFLICT (resource) DO UPDATE
          SET token = greatest(t.token, EXCLUDED.token), reason = EXCLUDED.reason`,
    },
    durability: { name: "stormlock_durability", text: "SELECT current_setting('fsync')" },
    touch: {
      passing: {
        name: "stormlock_touch",
        text: `
          WITH floor AS MATERIALIZED (
            SELECT t.resource FROM ${table} t WHERE t.resource = ${FLOOR} FOR UPDATE OF t SKIP LOCKED
          )
          UPDATE ${table} t SET touched_us = ${NOW_US} FROM floor WHERE t.resource = floor.resource`,
      },
      waiting: {
        name: "stormlock_touch_waiting",
        text: `
          INSERT INTO ${table} AS t (${columns}) SELECT ${empty(FLOOR, "0")}
          ON CONFLICT (resource) DO UPDATE SET touched_us = EXCLUDED.touched_us`,
      },
    },
  };
}
