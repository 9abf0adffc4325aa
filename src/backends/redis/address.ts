// Where a Redis is: one server, those that watch over a group of servers, or a cluster.

/** A server's address; `path` is that of a Unix socket. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly path?: string;
}

export interface Address {
  readonly kind: "single" | "sentinel" | "cluster";
  /** The server, the sentinels, or nodes of the cluster that know the others; at least one. */
  readonly endpoints: readonly Endpoint[];
  /** How the sentinels call the group of servers. */
  readonly master: string;
  readonly database: number;
  readonly isEncrypted: boolean;
  readonly user: string | undefined;
  readonly password: string | undefined;
}

/** What parseAddress understands, for messages. */
export const ADDRESS_FORM =
  "must be redis://HOST:PORT/DATABASE, redis+sentinel://HOST:PORT,HOST:PORT/NAME, redis+cluster://HOST:PORT,HOST:PORT (each with rediss for TLS), or unix:///PATH";

const FORM =
  /^(rediss?)(?:\+(sentinel|cluster))?:\/\/(?:(.*)@)?([^/?#@]+)(\/[^?#]*)?(?:\?(.*))?$/su;
const UNIX_FORM = /^unix:\/\/(?:(.*)@)?(\/[^?#]+)(?:\?(.*))?$/su;
const PORTS = { single: 6379, sentinel: 26379, cluster: 6379 } as const;

/**
 * Reads a url: `redis://user:password@host:6379/0`, `redis+sentinel://h1:26379,h2/name/0`,
 * `redis+cluster://h1:6379,h2`, with `rediss` for TLS, and `unix:///run/redis.sock`. Users and
 * passwords are percent-encoded where they have characters that mean something in a url. The
 * database may also stand behind, as `?db=0`.
 * @returns undefined when it is none of these
 */
export function parseAddress(url: string): Address | undefined {
  try {
    return readUnix(url) ?? readNetwork(url);
  } catch {
    return undefined; // A lonely % in user or password.
  }
}

/** The address as it may be shown: without user and password. */
export function placeOf({ kind, endpoints, master }: Address): string {
  const list = endpoints.map(nameOf).join(",");
  if (kind === "sentinel") return `${master} of the sentinels ${list}`;
  return kind === "cluster" ? `the cluster at ${list}` : list;
}

/** One server's address, for messages. */
export function nameOf({ host, port, path }: Endpoint): string {
  return path ?? `${host.includes(":") ? `[${host}]` : host}:${String(port)}`;
}

/** Reads `host:port`, `[::1]:port` or a bare host. */
export function parseEndpoint(text: string, defaultPort: number): Endpoint | undefined {
  const [, ipv6, plain, digits] =
    /^(?:\[([^\]]+)\]|([^:[\]\s]+))(?::([0-9]{1,5}))?$/u.exec(text) ?? [];
  const host = ipv6 ?? plain;
  const port = digits === undefined ? defaultPort : Number(digits);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}

function readUnix(url: string): Address | undefined {
  const [whole, login, path = "", query] = UNIX_FORM.exec(url) ?? [];
  const database = databaseOf(undefined, query);
  if (whole === undefined || database === undefined) return undefined;
  const endpoint = { host: "", port: 0, path: decodeURIComponent(path) };
  const common = { kind: "single", endpoints: [endpoint], master: "", isEncrypted: false } as const;
  return { ...common, database, ...credentialsOf(login) };
}

function readNetwork(url: string): Address | undefined {
  const [whole, scheme, kindText, login, hosts = "", path = "", query] = FORM.exec(url) ?? [];
  if (whole === undefined) return undefined;
  const kind = kindText === "sentinel" || kindText === "cluster" ? kindText : "single";
  const endpoints = hosts.split(",").map((host) => parseEndpoint(host, PORTS[kind]));
  if (!endpoints.every((endpoint) => endpoint !== undefined)) return undefined;
  if (kind === "single" && endpoints.length > 1) return undefined;
  const parts = path.split("/").slice(1).map(decodeURIComponent);
  const master = kind === "sentinel" ? (parts.shift() ?? "") : "";
  if ((kind === "sentinel" && master === "") || parts.length > 1) return undefined;
  const database = databaseOf(parts[0], query);
  // A cluster has one database only.
  if (database === undefined || (kind === "cluster" && database !== 0)) return undefined;
  const isEncrypted = scheme === "rediss";
  return { kind, endpoints, master, database, isEncrypted, ...credentialsOf(login) };
}

function databaseOf(path: string | undefined, query: string | undefined): number | undefined {
  const parameters = [...new URLSearchParams(query ?? "")];
  if (parameters.some(([key]) => key !== "db") || parameters.length > 1) return undefined;
  const fromPath = path === "" ? undefined : path;
  const fromQuery = parameters[0]?.[1];
  const text = fromQuery ?? fromPath ?? "0";
  if (fromPath !== undefined && fromQuery !== undefined && fromPath !== fromQuery) return undefined;
  return /^[0-9]{1,5}$/u.test(text) ? Number(text) : undefined;
}

function credentialsOf(login: string | undefined): Pick<Address, "user" | "password"> {
  if (login === undefined || login === "") return { user: undefined, password: undefined };
  const colon = login.indexOf(":");
  const [user, password] =
    colon === -1 ? [login, ""] : [login.slice(0, colon), login.slice(colon + 1)];
  const decoded = (text: string): string | undefined =>
    text === "" ? undefined : decodeURIComponent(text);
  return { user: decoded(user), password: decoded(password) };
}
