// A configuration file of either dialect, as sections of keys, before anything is said about
// what the keys mean.

import type { Complaint } from "./errors.js";
import { quoted, shown } from "./secrets.js";

export type Dialect = "toml" | "ini";

export interface Entry {
  readonly key: string;
  /** The value, its references replaced; undefined when that was not possible. */
  readonly value: unknown;
  readonly line: number | undefined;
  /** The value as the file has it, for messages: never what came from the environment. */
  readonly written: unknown;
  /** Whether variables of the environment were put in. */
  readonly isSubstituted: boolean;
  /** Why there is no value. */
  readonly problem?: { readonly found: string; readonly expected: string };
}

export interface DocumentSection {
  readonly kind: "default" | "daemon" | "backend" | "resource";
  /** The resource, the pattern or the backend's name; else the kind. */
  readonly name: string;
  readonly line: number | undefined;
  readonly entries: readonly Entry[];
  /** Keys that are given but for others to use: an unknown one of these is no mistake. */
  readonly tolerated: ReadonlySet<string>;
}

export interface Document {
  readonly path: string;
  readonly dialect: Dialect;
  readonly sections: readonly DocumentSection[];
  readonly complaints: readonly Complaint[];
  readonly warnings: readonly string[];
}

/** How a section is written in its file. */
export function headerOf(
  dialect: Dialect,
  { kind, name }: Pick<DocumentSection, "kind" | "name">,
): string {
  if (kind === "default" || kind === "daemon") return `[${name}]`;
  const key = dialect === "ini" || /^[\w-]+$/u.test(name) ? name : quoted(name);
  return kind === "backend" ? `[backend.${key}]` : `[${key}]`;
}

/** What was found as the value of an entry, for messages. */
export function foundIn({ key, written }: Entry): string {
  return shown(key, written);
}
