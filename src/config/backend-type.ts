// Which type a backend's section names, and what its schema says of the other keys.

import { dirname } from "node:path";
import type { ZodObject } from "zod";
import type { Dialect, DocumentSection, Entry } from "./document.js";
import type { Complaint } from "./errors.js";
import { shown } from "./secrets.js";
import { suggest } from "./suggestion.js";

export type FoundKeys =
  | { readonly kind: "known"; readonly schema: ZodObject }
  /** There is no such type; a plug-in was looked for in these folders. */
  | { readonly kind: "missing"; readonly lookedIn: readonly string[] }
  /** There is such a plug-in, and it cannot be used: why, in one line. */
  | { readonly kind: "unusable"; readonly why: string };

/**
 * The schema of the keys of a type of backend.
 * @param folder where a plug-in of that name may be looked for; undefined where none may be used
 */
export type BackendKeys = (type: string, folder: string | undefined) => Promise<FoundKeys>;

export interface SectionType {
  readonly type: string;
  /** Where its plug-in is looked for first, should it be one. */
  readonly folder?: string;
  readonly schema?: ZodObject;
  readonly complaint?: Pick<Complaint, "found" | "expected" | "suggestion">;
}

/**
 * Finds the type that a section names. A plug-in is code that will be run: only a configuration
 * in TOML, which nobody finds by chance in the folder where he stands, may name one, and only in
 * so many words.
 */
export async function typeOf(
  section: DocumentSection,
  path: string,
  dialect: Dialect,
  backendKeys: BackendKeys | undefined,
  types: readonly string[],
): Promise<SectionType> {
  const entry = section.entries.find(({ key }) => key === "type");
  const type = entry?.value ?? section.name;
  if (typeof type !== "string") {
    const found = `a type of backend that is not there: ${shown("type", type)}`;
    return { type: "", complaint: { found, expected: types.join(", ") } };
  }
  const mayBePlugIn = dialect === "toml" && entry?.isSubstituted === false;
  const folder = mayBePlugIn ? dirname(path) : undefined;
  const where = folder === undefined ? {} : { folder };
  if (backendKeys === undefined) return { type, ...where };
  const found = await backendKeys(type, folder);
  switch (found.kind) {
    case "known":
      return { type, ...where, schema: found.schema };
    case "unusable":
      return {
        type,
        complaint: {
          found: `${shown("type", type)}, and ${found.why}`,
          expected: "the module of a plug-in, which exports a backend",
        },
      };
    case "missing":
      return {
        type,
        complaint: {
          found: `a type of backend that is not there: ${shown("type", type)}`,
          expected: expectedTypes(types, found.lookedIn, hintOf(dialect, entry)),
          suggestion: type.includes("/") ? undefined : suggest(type, types),
        },
      };
  }
}

// Why it is no plug-in; nothing where it could have been one.
function hintOf(dialect: Dialect, entry: Entry | undefined): string | undefined {
  if (entry === undefined) return "";
  if (dialect === "ini") return "; only a TOML file can name a plug-in";
  return entry.isSubstituted ? "; the name of a plug-in has to be written out" : undefined;
}

function expectedTypes(
  types: readonly string[],
  lookedIn: readonly string[],
  hint: string | undefined,
): string {
  const known = types.length === 0 ? "one that is installed" : types.join(", ");
  if (hint !== undefined) return known + hint;
  if (lookedIn.length > 0) {
    return `${known}, or a plug-in's package; there is none in ${lookedIn.join(" and ")}, nor above them`;
  }
  return `${known}, a package's name, or the absolute path of a plug-in's file`;
}
