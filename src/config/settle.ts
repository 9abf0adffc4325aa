// Flag over variable over file over what is built in: the configuration that counts.

import { Policy, type Rule } from "../lock/policy.js";
import type { BackendConfig } from "./backend-settings.js";
import type { BackendKeys } from "./backend-type.js";
import { builtInPrincipal, builtInStorePath, DEFAULT_LISTEN } from "./builtin.js";
import type { Dialect } from "./document.js";
import { ConfigError, type Complaint } from "./errors.js";
import type { ClientSecurity, DaemonSettings, FileConfig } from "./file-config.js";
import { blame, type Origin, type Origins } from "./origin.js";
import { readOverrides, type Flags } from "./overrides.js";
import { limitComplaints, rulesOf, type Rules } from "./rules.js";
import { quoted } from "./secrets.js";
import type { Environment } from "./substitute.js";
import { usedBackends } from "./used-backends.js";
import type { LogLevel } from "./values.js";

export interface ClientConfig extends ClientSecurity {
  /** The daemons to ask, in order; none: open the backend in this process. */
  readonly servers: readonly string[];
  /** The ttl to ask for, when a flag or a variable says one; else whoever grants decides. */
  readonly ttlMs?: number;
}

export interface DaemonTls {
  /** Paths of PEM files. */
  readonly cert: string;
  readonly key: string;
  /** Whose certificates callers must show. */
  readonly clientCa?: string;
}

export interface DaemonConfig {
  readonly listen: readonly string[];
  /** Addresses for the web door alone. */
  readonly http: readonly string[];
  readonly tls: DaemonTls | undefined;
  /** Others may reach it although nothing proves who they are. */
  readonly insecure: boolean;
  readonly logLevel: LogLevel;
}

export interface Config {
  /** The file that was read. */
  readonly path: string | undefined;
  readonly dialect: Dialect;
  readonly warnings: readonly string[];
  /** What applies to a command that opens the backend itself; a daemon takes daemonRules. */
  readonly policy: Rules;
  readonly backends: ReadonlyMap<string, BackendConfig>;
  readonly client: ClientConfig;
  readonly daemon: DaemonConfig;
  /** Whether some resource is kept in the store that needs no configuration. */
  readonly usesBuiltInStore: boolean;
  readonly origins: Origins;
}

export interface SettleOptions {
  readonly flags: Flags;
  readonly env: Environment;
  readonly file: FileConfig | undefined;
  /** What was said when the file was looked for. */
  readonly warnings?: readonly string[];
  readonly home: string;
  readonly cwd: string;
  /** A client that asks a daemon opens no backend: then backends and limits are not looked at. */
  readonly purpose: "client" | "daemon" | "check";
  readonly backendKeys: BackendKeys;
  /** The types of backends that there are, for suggestions. */
  readonly backendTypes?: readonly string[];
}

/**
 * Puts everything together.
 * @throws ConfigError with all complaints, not only the first
 */
export async function settleConfig(options: SettleOptions): Promise<Config> {
  const { env, file, home, cwd, purpose } = options;
  const given = readOverrides(options.flags, env, cwd);
  const origins = originsOf(file, given.origins);
  const client: ClientConfig = { servers: [], ...file?.client, ...given.client };
  const daemon: DaemonSettings = { ...file?.daemon, ...given.daemon };
  const rules = rulesOf(file, given.rule);
  const dialect = file?.dialect ?? "toml";
  const isOpening = purpose !== "client" || client.servers.length === 0;
  const used = await usedBackends({
    file,
    rules,
    origins,
    builtInPath: builtInStorePath(env, home),
    backendKeys: isOpening ? options.backendKeys : undefined,
    types: options.backendTypes ?? [],
  });
  const complaints = [
    ...(file?.complaints ?? []),
    ...given.complaints,
    ...pairComplaints("[default]", client, origins),
    ...plainComplaints(client, origins),
    ...pairComplaints("[daemon]", daemon, origins),
    ...(isOpening ? used.complaints : []),
    ...(isOpening ? limitComplaints(rules, dialect, origins) : []),
  ];
  if (complaints.length > 0) throw new ConfigError(inOrder(complaints));
  return {
    path: file?.path,
    dialect,
    warnings: [...(options.warnings ?? []), ...(file?.warnings ?? []), ...used.warnings],
    policy: { ...rules, fallback: { principal: builtInPrincipal(), ...rules.fallback } },
    backends: used.backends,
    client,
    daemon: {
      listen: daemon.listen ?? [DEFAULT_LISTEN],
      http: daemon.http ?? [],
      tls: tlsOf(daemon),
      insecure: daemon.insecure ?? false,
      logLevel: daemon.logLevel ?? "info",
    },
    usesBuiltInStore: used.usesBuiltInStore,
    origins,
  };
}

/** Who asks for a resource, unless the question itself says it. */
export function principalFor(config: Pick<Config, "policy">, resource: string): string {
  const { fallback, sections } = config.policy;
  return new Policy(fallback, sections).for(resource).principal;
}

/** What a daemon applies: its own file's principals are nobody's who calls it. */
export function daemonRules({ policy }: Pick<Config, "policy">): Rules {
  const withoutPrincipal = ({ principal: _, ...rule }: Partial<Rule>): Partial<Rule> => rule;
  return {
    fallback: withoutPrincipal(policy.fallback),
    sections: policy.sections.map(({ pattern, rule }) => ({
      pattern,
      rule: withoutPrincipal(rule),
    })),
  };
}

function originsOf(file: FileConfig | undefined, given: Origins): Origins {
  const origins = new Map<string, Origin>();
  if (file !== undefined) {
    for (const [place, line] of file.lines)
      origins.set(place, { kind: "file", path: file.path, line });
  }
  for (const [place, origin] of given) origins.set(place, origin);
  return origins;
}

function tlsOf({ cert, key, clientCa }: DaemonSettings): DaemonTls | undefined {
  if (cert === undefined || key === undefined) return undefined;
  return { cert, key, ...(clientCa === undefined ? {} : { clientCa }) };
}

function pairComplaints(
  header: string,
  files: ClientSecurity & DaemonSettings,
  origins: Origins,
): readonly Complaint[] {
  const { cert, key, clientCa } = files;
  const complain = (place: string, path: string, expected: string): Complaint => ({
    ...blame(`${header} ${place}`, origins),
    found: quoted(path),
    expected,
  });
  if (cert !== undefined && key === undefined) {
    return [complain("cert", cert, "the key that belongs to it beside it")];
  }
  if (key !== undefined && cert === undefined) {
    return [complain("key", key, "the cert that belongs to it beside it")];
  }
  if (clientCa !== undefined && cert === undefined) {
    return [complain("client_ca", clientCa, "the daemon's own cert and key beside it")];
  }
  return [];
}

// Who says that there is no TLS, and has a file for it, means one of both.
function plainComplaints(client: ClientSecurity, origins: Origins): readonly Complaint[] {
  const file = (["ca", "cert", "key"] as const).find((use) => client[use] !== undefined);
  if (client.tls !== false || file === undefined) return [];
  const expected = `true, or neither ca nor cert nor key (${file} is ${quoted(client[file] ?? "")})`;
  return [{ ...blame("[default] tls", origins), found: "false", expected }];
}

// As they stand in the file; what is not in it comes first.
function inOrder(complaints: readonly Complaint[]): readonly Complaint[] {
  return complaints.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
}
