// What a configuration writes down of a database: the connection string and the table's name.

import { userInfo } from "node:os";

/** The parameters of a connection string, by the names that libpq gives them. */
export type ConnectionParts = Readonly<
  Partial<Record<keyof typeof USED, string>> & Record<"host" | "port" | "dbname" | "user", string>
>;

// What is used, and where libpq finds what a string leaves out.
const USED = {
  ...({ host: "PGHOST", port: "PGPORT", dbname: "PGDATABASE", user: "PGUSER" } as const),
  ...({ password: "PGPASSWORD", application_name: "PGAPPNAME", options: "PGOPTIONS" } as const),
  ...({ sslmode: "PGSSLMODE", sslrootcert: "PGSSLROOTCERT" } as const),
  ...({ sslcert: "PGSSLCERT", sslkey: "PGSSLKEY" } as const),
} as const;

// Known to libpq, and of no use here: taken, so that a string which works elsewhere works.
const IGNORED: ReadonlySet<string> = new Set([
  ...["connect_timeout", "client_encoding", "fallback_application_name", "target_session_attrs"],
  ...["keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"],
  ...["tcp_user_timeout", "gssencmode", "channel_binding", "sslcompression", "sslsni"],
]);

export const SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

const FORM =
  'must be a URL such as "postgresql://user@host:5432/database", or keywords such as "host=db user=locks dbname=locks"';

/** Reads a connection string. The problem, if there is one, says what must be, and no secret. */
export function connectionParts(text: string): ConnectionParts | { readonly problem: string } {
  const isUrl = /^postgres(?:ql)?:\/\//u.test(text);
  const pairs = isUrl ? urlPairs(text) : keywordPairs(text);
  if (pairs === undefined) return { problem: FORM };
  const parts: Partial<Record<string, string>> = {};
  for (const [key, value] of pairs) {
    if (IGNORED.has(key)) continue;
    if (!Object.hasOwn(USED, key)) {
      return { problem: `must have no other parameters than ${Object.keys(USED).join(", ")}` };
    }
    if (value !== "") parts[key] = value;
  }
  for (const [key, variable] of Object.entries(USED)) {
    const value = process.env[variable];
    if (value !== undefined && value !== "") parts[key] ??= value;
  }
  if (parts["host"]?.includes(",") === true || parts["port"]?.includes(",") === true) {
    return { problem: "must name one host: the one that can be written to" };
  }
  if (parts["port"] !== undefined && !/^[0-9]{1,5}$/u.test(parts["port"])) {
    return { problem: "must have a port that is a number, in itself or in PGPORT" };
  }
  if (parts["sslmode"] !== undefined && !SSL_MODES.includes(parts["sslmode"])) {
    return {
      problem: `must have one of these as sslmode, in itself or in PGSSLMODE: ${SSL_MODES.join(", ")}`,
    };
  }
  if (parts["sslmode"] === "verify-ca" && parts["sslrootcert"] === undefined) {
    return { problem: "must have a sslrootcert when sslmode is verify-ca" };
  }
  return withDefaults(parts);
}

function withDefaults(parts: Partial<Record<string, string>>): ConnectionParts {
  const { host = "localhost", port = "5432", user = userName() } = parts;
  return { ...parts, host, port, dbname: parts["dbname"] ?? user, user };
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return "postgres"; // A container's user without a name.
  }
}

// Taken apart by hand: a URL with a user and without a host, as sockets have it, is none for
// the standard's parser.
const URL_FORM =
  /^postgres(?:ql)?:\/\/(?:(?<user>[^:@/?#]*)(?::(?<password>[^@/?#]*))?@)?(?<host>\[[^\]]*\]|[^:/?#]*)(?::(?<port>[^/?#]*))?(?:\/(?<dbname>[^?#]*))?(?:\?(?<rest>[^#]*))?$/u;

function urlPairs(text: string): readonly [string, string][] | undefined {
  const { rest, host, ...named } = URL_FORM.exec(text)?.groups ?? {};
  if (host === undefined) return undefined;
  const written = { ...named, host: host.replace(/^\[(.*)\]$/u, "$1") };
  const pairs: [string, string][] = [];
  try {
    for (const [key, value] of Object.entries<string | undefined>(written)) {
      if (value !== undefined) pairs.push([key, decodeURIComponent(value)]);
    }
    for (const [key, value] of new URLSearchParams(rest?.replaceAll("+", "%2B") ?? "")) {
      pairs.push([key, value]);
    }
    return pairs;
  } catch {
    return undefined; // A % that begins no escape.
  }
}

const KEYWORD =
  /\s*(?<key>[a-z_]+)\s*=\s*(?:'(?<quoted>(?:[^'\\]|\\.)*)'|(?<bare>(?:[^\s'\\]|\\.)*))(?:\s+|$)/suy;

function keywordPairs(text: string): readonly [string, string][] | undefined {
  const pairs: [string, string][] = [];
  KEYWORD.lastIndex = 0;
  while (KEYWORD.lastIndex < text.length) {
    const groups = KEYWORD.exec(text)?.groups;
    if (groups === undefined) return undefined;
    const { key = "", quoted, bare = "" } = groups;
    pairs.push([key, (quoted ?? bare).replace(/\\(.)/gsu, "$1")]);
  }
  return pairs.length === 0 ? undefined : pairs;
}

// PostgreSQL cuts what is longer; quotes and the like are nobody's table and somebody's attack.
const TABLE_NAME = /^(?:[A-Za-z_][A-Za-z0-9_]{0,62}\.)?[A-Za-z_][A-Za-z0-9_]{0,62}$/u;

/** Whether it is a name that `quotedTable` takes. */
export function isTableName(text: string): boolean {
  return TABLE_NAME.test(text);
}

/** A table's name as SQL: each part in quotes, so that it means itself. */
export function quotedTable(name: string): string {
  if (!isTableName(name)) throw new Error(`${JSON.stringify(name)} is no table's name`);
  return name
    .split(".")
    .map((part) => `"${part}"`)
    .join(".");
}
