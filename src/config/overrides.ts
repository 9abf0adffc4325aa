// What the command line and the environment say.

import type { Rule } from "../lock/policy.js";
import type { Complaint } from "./errors.js";
import { defined, type ClientSecurity, type DaemonSettings } from "./file-config.js";
import type { Origin } from "./origin.js";
import { shown } from "./secrets.js";
import type { Environment } from "./substitute.js";
import {
  readDuration,
  readFlag,
  readListenAddresses,
  readLogLevel,
  readName,
  readPath,
  readPrincipal,
  readServerAddresses,
  type Reader,
} from "./values.js";

/** Flags as they were written; whoever has none of a name leaves it out. */
export interface Flags {
  readonly server?: string | readonly string[] | undefined;
  readonly ttl?: string | undefined;
  readonly principal?: string | undefined;
  readonly backend?: string | undefined;
  /** A client's --tls, --ca, --cert and --key. */
  readonly tls?: boolean | undefined;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly listen?: string | readonly string[] | undefined;
  readonly http?: string | readonly string[] | undefined;
  /** A daemon's --cert and --key, and the --ca of its clients' certificates. */
  readonly daemonCert?: string | undefined;
  readonly daemonKey?: string | undefined;
  readonly daemonClientCa?: string | undefined;
  readonly insecure?: boolean | undefined;
  readonly logLevel?: string | undefined;
}

export interface Overrides {
  readonly rule: Partial<Pick<Rule, "ttlMs" | "principal" | "backend">>;
  readonly client: ClientSecurity & {
    readonly servers?: readonly string[];
    readonly ttlMs?: number;
  };
  readonly daemon: DaemonSettings;
  /** By the `[section] key` that is overridden. */
  readonly origins: ReadonlyMap<string, Origin>;
  readonly complaints: readonly Complaint[];
}

/** Understands flags and variables; a variable that is empty is not set. */
export function readOverrides(flags: Flags, env: Environment, cwd: string): Overrides {
  const origins = new Map<string, Origin>();
  const complaints: Complaint[] = [];

  const read = <T>(name: string, value: unknown, reader: Reader<T>): T | undefined => {
    const reading = reader(value, cwd);
    if (reading.kind === "value") return reading.value;
    const isUsage = name.startsWith("--");
    complaints.push({ key: name, found: shown(name, value), expected: reading.expected, isUsage });
    return undefined;
  };
  const take = <T>(
    target: string,
    reader: Reader<T>,
    flag: readonly [name: string, value: unknown] | undefined,
    variable?: string,
  ): T | undefined => {
    if (flag?.[1] !== undefined) {
      origins.set(target, { kind: "given", name: flag[0] });
      return read(flag[0], flag[1], reader);
    }
    const value = variable === undefined ? "" : (env[variable] ?? "");
    if (variable === undefined || value === "") return undefined;
    origins.set(target, { kind: "given", name: variable });
    return read(variable, value, reader);
  };

  const flagTtlMs = flags.ttl === undefined ? undefined : read("--ttl", flags.ttl, readDuration);
  const ttlMs = take("[default] ttl", readDuration, undefined, "STORMLOCK_TTL");
  const rule = defined({
    // A flag is for one question, not for whoever else asks this process.
    ttlMs,
    principal: take(
      "[default] principal",
      readPrincipal,
      ["--principal", flags.principal],
      "STORMLOCK_PRINCIPAL",
    ),
    backend: take("[default] backend", readName, ["--backend", flags.backend], "STORMLOCK_BACKEND"),
  });
  const client = defined({
    ttlMs: flagTtlMs ?? ttlMs,
    servers: take(
      "[default] server",
      readServerAddresses,
      ["--server", flags.server],
      "STORMLOCK_SERVER",
    ),
    tls: take("[default] tls", readFlag, ["--tls", flags.tls], "STORMLOCK_TLS"),
    ca: take("[default] ca", readPath, ["--ca", flags.ca], "STORMLOCK_CA"),
    cert: take("[default] cert", readPath, ["--cert", flags.cert], "STORMLOCK_CERT"),
    key: take("[default] key", readPath, ["--key", flags.key], "STORMLOCK_KEY"),
  });
  const daemon = defined({
    listen: take(
      "[daemon] listen",
      readListenAddresses,
      ["--listen", flags.listen],
      "STORMLOCK_LISTEN",
    ),
    http: take("[daemon] http", readListenAddresses, ["--http", flags.http]),
    cert: take("[daemon] cert", readPath, ["--cert", flags.daemonCert]),
    key: take("[daemon] key", readPath, ["--key", flags.daemonKey]),
    clientCa: take("[daemon] client_ca", readPath, ["--ca", flags.daemonClientCa]),
    insecure: take("[daemon] insecure", readFlag, ["--insecure", flags.insecure]),
    logLevel: take("[daemon] log_level", readLogLevel, ["--log-level", flags.logLevel]),
  });
  return { rule, client, daemon, origins, complaints };
}
