// What a configuration file says, its values understood.

import { dirname } from "node:path";
import { LockError } from "../lock/errors.js";
import { checkResource } from "../lock/limits.js";
import type { Rule, Section } from "../lock/policy.js";
import {
  foundIn,
  headerOf,
  type Dialect,
  type Document,
  type DocumentSection,
  type Entry,
} from "./document.js";
import { complaintText, type Complaint } from "./errors.js";
import { shown } from "./secrets.js";
import { suggest } from "./suggestion.js";
import {
  readDuration,
  readFlag,
  readListenAddresses,
  readLogLevel,
  readName,
  readPath,
  readPrincipal,
  readServerAddresses,
  type LogLevel,
  type Reader,
} from "./values.js";

const RULE_KEYS = ["ttl", "min_ttl", "max_ttl", "principal", "backend"];
const DEFAULT_KEYS = [...RULE_KEYS, "server", "tls", "ca", "cert", "key"];
const DAEMON_KEYS = ["listen", "http", "cert", "key", "client_ca", "insecure", "log_level"];

const KEYS: Record<Exclude<DocumentSection["kind"], "backend">, readonly string[]> = {
  default: DEFAULT_KEYS,
  resource: RULE_KEYS,
  daemon: DAEMON_KEYS,
};

/** How a client proves itself, and knows the daemon. */
export interface ClientSecurity {
  /** TLS is spoken without any file, too: the authorities that Node knows count then. */
  readonly tls?: boolean;
  /** Paths of PEM files. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface DaemonSettings {
  readonly listen?: readonly string[];
  readonly http?: readonly string[];
  readonly cert?: string;
  readonly key?: string;
  readonly clientCa?: string;
  readonly insecure?: boolean;
  readonly logLevel?: LogLevel;
}

export interface FileConfig {
  readonly path: string;
  readonly dialect: Dialect;
  readonly fallback: Partial<Rule>;
  readonly sections: readonly Section[];
  readonly client: ClientSecurity & { readonly servers?: readonly string[] };
  readonly daemon: DaemonSettings;
  /** By name; not checked yet. */
  readonly backends: ReadonlyMap<string, DocumentSection>;
  /** The line of `[section] key`, and of `[section]`. */
  readonly lines: ReadonlyMap<string, number>;
  readonly complaints: readonly Complaint[];
  readonly warnings: readonly string[];
}

/** Understands a document, except for its backends' own keys. */
export function understand(document: Document): FileConfig {
  const reading = new FileReading(document);
  let fallback: Partial<Rule> = {};
  let client: FileConfig["client"] = {};
  let daemon: DaemonSettings = {};
  const sections: Section[] = [];
  const backends = new Map<string, DocumentSection>();
  for (const section of document.sections) {
    const fields = reading.fieldsOf(section);
    switch (section.kind) {
      case "default":
        fallback = ruleOf(fields);
        client = defined({
          servers: fields.take("server", readServerAddresses),
          tls: fields.take("tls", readFlag),
          ca: fields.take("ca", readPath),
          cert: fields.take("cert", readPath),
          key: fields.take("key", readPath),
        });
        break;
      case "daemon":
        daemon = daemonOf(fields);
        break;
      case "resource":
        if (reading.isResource(section))
          sections.push({ pattern: section.name, rule: ruleOf(fields) });
        break;
      case "backend":
        backends.set(section.name, section);
        break;
    }
  }
  const { path, dialect } = document;
  const { lines, complaints, warnings } = reading;
  return {
    path,
    dialect,
    fallback,
    sections,
    client,
    daemon,
    backends,
    lines,
    complaints,
    warnings,
  };
}

function ruleOf(fields: Fields): Partial<Rule> {
  return defined({
    ttlMs: fields.take("ttl", readDuration),
    minTtlMs: fields.take("min_ttl", readDuration),
    maxTtlMs: fields.take("max_ttl", readDuration),
    principal: fields.take("principal", readPrincipal),
    backend: fields.take("backend", readName),
  });
}

function daemonOf(fields: Fields): DaemonSettings {
  return defined({
    listen: fields.take("listen", readListenAddresses),
    http: fields.take("http", readListenAddresses),
    cert: fields.take("cert", readPath),
    key: fields.take("key", readPath),
    clientCa: fields.take("client_ca", readPath),
    insecure: fields.take("insecure", readFlag),
    logLevel: fields.take("log_level", readLogLevel),
  });
}

/** An object without those of its properties that are undefined. */
export function defined<T extends object>(
  values: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

interface Fields {
  /** The value of a key, or undefined where there is none or it has been complained of. */
  take<T>(key: string, read: Reader<T>): T | undefined;
}

class FileReading {
  readonly lines = new Map<string, number>();
  readonly complaints: Complaint[];
  readonly warnings: string[];
  readonly #document: Document;

  constructor(document: Document) {
    this.#document = document;
    this.complaints = [...document.complaints];
    this.warnings = [...document.warnings];
  }

  fieldsOf(section: DocumentSection): Fields {
    const { path, dialect } = this.#document;
    const header = headerOf(dialect, section);
    const entries = new Map(section.entries.map((entry) => [entry.key, entry]));
    if (section.line !== undefined) this.lines.set(header, section.line);
    for (const entry of entries.values()) {
      if (entry.line !== undefined) this.lines.set(`${header} ${entry.key}`, entry.line);
      this.#checkKey(section, entry, header);
    }
    return {
      take: (key, read) => {
        const entry = entries.get(key);
        if (entry === undefined || isAbsent(dialect, entry)) return undefined;
        const reading =
          entry.problem === undefined
            ? read(entry.value, dirname(path))
            : ({ kind: "wrong", ...entry.problem } as const);
        if (reading.kind === "value") return reading.value;
        this.complaints.push({
          file: path,
          line: entry.line,
          key: `${header} ${key}`,
          found: entry.problem?.found ?? foundIn(entry),
          expected: reading.expected,
        });
        return undefined;
      },
    };
  }

  /** Whether a section's name can be that of a resource. */
  isResource(section: DocumentSection): boolean {
    try {
      checkResource(section.name);
      return true;
    } catch (error) {
      if (!(error instanceof LockError)) throw error;
      this.#mention({
        file: this.#document.path,
        line: section.line,
        key: headerOf(this.#document.dialect, section),
        found: shown("", section.name),
        expected: `the name of a resource (${error.message})`,
      });
      return false;
    }
  }

  #checkKey(section: DocumentSection, { key, line }: Entry, header: string): void {
    if (section.kind === "backend" || KEYS[section.kind].includes(key)) return;
    if (section.tolerated.has(key)) return;
    // A key that is right elsewhere was put in the wrong section rather than mistyped.
    const home = (["daemon", "default"] as const).find((kind) => KEYS[kind].includes(key));
    const near = suggest(key, KEYS[section.kind]);
    const isKeyAtHome = home !== undefined && this.#document.dialect === "toml";
    this.#mention({
      file: this.#document.path,
      line,
      key: `${header} ${key}`,
      found: "an unknown key",
      expected: isKeyAtHome ? `it in [${home}]` : KEYS[section.kind].join(", "),
      suggestion: isKeyAtHome ? undefined : near,
    });
  }

  // What the older tool let pass is no reason to stop.
  #mention(complaint: Complaint): void {
    if (this.#document.dialect === "toml") this.complaints.push(complaint);
    else this.warnings.push(`${complaintText(complaint)} (ignored)`);
  }
}

// To the older tool an empty value, and a ttl of nothing, was one that is not given.
function isAbsent(dialect: Dialect, { key, value }: Entry): boolean {
  if (dialect !== "ini" || typeof value !== "string") return false;
  return value === "" || (key === "ttl" && /^0+ *[a-z]+$/u.test(value));
}
