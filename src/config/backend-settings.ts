// The keys of `[backend.NAME]`, checked against what the backend's own schema says of them.

import { dirname, resolve } from "node:path";
import type { ZodObject } from "zod";
import { typeOf, type BackendKeys } from "./backend-type.js";
import { foundIn, headerOf, type Dialect, type DocumentSection, type Entry } from "./document.js";
import { complaintText, type Complaint } from "./errors.js";
import { quoted } from "./secrets.js";
import { suggest } from "./suggestion.js";

export interface BackendConfig {
  readonly name: string;
  readonly type: string;
  /** Where its plug-in is looked for first, should the type be one; where none may be, nothing. */
  readonly folder?: string;
  /** Its own keys, their variables put in and their paths absolute. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** The same for showing: what has variables in it stands as it was written. */
  readonly shown: Readonly<Record<string, unknown>>;
  /** Where the file has a key, such as `locks.toml:12`; "" is the section itself. */
  readonly where: ReadonlyMap<string, string>;
  /** The embedded store that is used when nothing is configured. */
  readonly isBuiltIn: boolean;
  /** Why it cannot be opened: an error for whoever asks for a resource in it, and only then. */
  readonly problem?: string;
}

export interface CheckOptions {
  readonly path: string;
  readonly dialect: Dialect;
  /** Undefined where nobody is going to open the backends: then nothing is checked. */
  readonly backendKeys: BackendKeys | undefined;
  /** The types there are, for suggestions. */
  readonly types: readonly string[];
}

export interface CheckedBackend {
  readonly backend: BackendConfig;
  readonly complaints: readonly Complaint[];
  readonly warnings: readonly string[];
}

// The keys that name files, in all backends. Plug-ins do well to use the same.
const PATH_KEYS = new Set(["path", "ca", "cert", "key", "ca_cert", "cert_cert", "cert_key"]);

/** A backend's section, with what is wrong with it. */
export async function checkBackend(
  section: DocumentSection,
  { path, dialect, backendKeys, types }: CheckOptions,
): Promise<CheckedBackend> {
  const header = headerOf(dialect, section);
  const complaints: Complaint[] = [];
  const warnings: string[] = [];
  const typeEntry = section.entries.find(({ key }) => key === "type");
  const entries = section.entries.filter(({ key }) => key !== "type");
  const complain = (key: string, line: number | undefined, rest: Omit<Complaint, "key">): void => {
    complaints.push({ file: path, line: line ?? section.line, key: `${header}${key}`, ...rest });
  };

  if (backendKeys !== undefined) {
    for (const { key, line, problem } of section.entries) {
      if (problem !== undefined) complain(` ${key}`, line, problem);
    }
  }
  const settings = Object.fromEntries(
    entries.map(({ key, value }) => [
      key,
      PATH_KEYS.has(key) && typeof value === "string" && value !== ""
        ? resolve(dirname(path), value)
        : value,
    ]),
  );

  const sectionType = await typeOf(section, path, dialect, backendKeys, types);
  const { type, folder, schema } = sectionType;
  if (sectionType.complaint !== undefined && backendKeys !== undefined) {
    complain(typeEntry === undefined ? "" : " type", typeEntry?.line, sectionType.complaint);
  }
  if (schema !== undefined) {
    const isOpen = (schema.def.catchall?._zod.def.type ?? "never") !== "never";
    const known = Object.keys(schema.shape);
    for (const { key, line } of isOpen ? [] : entries) {
      if (known.includes(key)) continue;
      Reflect.deleteProperty(settings, key);
      if (section.tolerated.has(key)) continue;
      const complaint = {
        file: path,
        line,
        key: `${header} ${key}`,
        found: "an unknown key",
        expected: known.join(", "),
        suggestion: suggest(key, known),
      };
      if (dialect === "toml") complaints.push(complaint);
      else warnings.push(`${complaintText(complaint)} (ignored)`);
    }
    const byKey = new Map(entries.map((entry) => [entry.key, entry]));
    const isLoose = ({ isSubstituted }: Entry): boolean => isSubstituted || dialect === "ini";
    const loose = new Set(entries.filter(isLoose).map(({ key }) => key));
    for (const { key, expected } of fit(schema, settings, loose)) {
      const entry = byKey.get(key);
      if (entry?.problem !== undefined) continue;
      complain(key === "" ? "" : ` ${key}`, entry?.line, {
        found: entry === undefined ? "nothing" : foundIn(entry),
        expected,
      });
    }
  }

  const places: [string, number | undefined][] = [["", section.line]];
  for (const { key, line } of section.entries) places.push([key, line]);
  const backend: BackendConfig = {
    name: section.name,
    type,
    ...(folder === undefined ? {} : { folder }),
    settings,
    shown: Object.fromEntries(
      entries.map(({ key, written, isSubstituted }) => [
        key,
        isSubstituted ? written : settings[key],
      ]),
    ),
    where: new Map(places.map(([key, line]) => [key, place(path, line)])),
    isBuiltIn: false,
  };
  // The older tool looked at a backend only when it was used.
  if (dialect === "toml" || complaints.length === 0) return { backend, complaints, warnings };
  const problem = complaints.map(complaintText).join("\n");
  return { backend: { ...backend, problem }, complaints: [], warnings };
}

function place(path: string, line: number | undefined): string {
  return line === undefined ? path : `${path}:${String(line)}`;
}

interface Misfit {
  readonly key: string;
  readonly expected: string;
}

/**
 * What does not fit the schema. A text that came from a variable, or from a file that knows
 * nothing but texts, is first made what the schema wants, in place.
 */
function fit(
  schema: ZodObject,
  settings: Record<string, unknown>,
  loose: ReadonlySet<string>,
): readonly Misfit[] {
  let result = schema.safeParse(settings);
  for (const issue of result.error?.issues ?? []) {
    const key = String(issue.path[0] ?? "");
    if (issue.code !== "invalid_type" || issue.path.length !== 1) continue;
    if (!loose.has(key)) continue;
    settings[key] = converted(settings[key], issue.expected);
  }
  result = schema.safeParse(settings);
  return (result.error?.issues ?? []).flatMap((issue): Misfit[] => {
    // Unknown keys have been named already.
    if (issue.code === "unrecognized_keys" && issue.path.length === 0) return [];
    return [{ key: issue.path.map(String).join("."), expected: expectedBy(issue) }];
  });
}

const YES = new Set(["true", "yes", "on", "1"]);
const NO = new Set(["false", "no", "off", "0"]);

function converted(value: unknown, type: string): unknown {
  if (typeof value !== "string") return value;
  const text = value.trim().toLowerCase();
  if ((type === "number" || type === "int") && /^[+-]?[0-9]+(?:\.[0-9]+)?$/u.test(text)) {
    return Number(text);
  }
  if (type === "boolean" && (YES.has(text) || NO.has(text))) return YES.has(text);
  return value;
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: "a text in quotes",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a table",
};

type Issue = NonNullable<ReturnType<ZodObject["safeParse"]>["error"]>["issues"][number];

function expectedBy(issue: Issue): string {
  if (issue.code === "invalid_type") return TYPE_WORDS[issue.expected] ?? issue.expected;
  if (issue.code === "invalid_value") {
    return issue.values
      .map((value) => (typeof value === "string" ? quoted(value) : String(value)))
      .join(" or ");
  }
  return /(?:expected|^must be) (.+)$/su.exec(issue.message)?.[1] ?? issue.message;
}
