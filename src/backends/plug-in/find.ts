// Where the module of a plug-in is: beside the configuration that names it, or beside Stormlock.
// Node's own import looks from the importing file on, which would be ours.

import { readFile, stat } from "node:fs/promises";
import { createRequire, isBuiltin } from "node:module";
import { dirname, isAbsolute, join } from "node:path";

export type Found =
  | { readonly kind: "found"; readonly file: string }
  /** There is none; the folders are those where it could have been. */
  | { readonly kind: "missing"; readonly lookedIn: readonly string[] }
  | { readonly kind: "unusable"; readonly why: string };

const PACKAGE_NAME = /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/u;

// What an `import` counts with, in a package's `exports`.
const CONDITIONS: ReadonlySet<string> = new Set(["node", "import", "default"]);

/**
 * Looks for a plug-in.
 * @param type a package's name, or the absolute path of a module's file
 * @param folders where to look for a package, with all folders above each
 */
export async function findModule(type: string, folders: readonly string[]): Promise<Found> {
  if (isAbsolute(type)) {
    const kind = await kindOf(type);
    if (kind === "file") return { kind: "found", file: type };
    const what = kind === "folder" ? "is a folder: name the module's file" : "is not there";
    return { kind: "unusable", why: `the file ${type} ${what}` };
  }
  if (!PACKAGE_NAME.test(type) || isBuiltin(type)) return { kind: "missing", lookedIn: [] };
  for (const folder of folders.flatMap(moduleFolders)) {
    const place = join(folder, type);
    if ((await kindOf(place)) !== "folder") continue;
    return await entryOf(place);
  }
  return { kind: "missing", lookedIn: folders.map((folder) => join(folder, "node_modules")) };
}

// As Node does it, but without the folders that a variable of the environment can add.
function moduleFolders(folder: string): string[] {
  const parent = dirname(folder);
  const here = folder.endsWith("/node_modules") ? [] : [join(folder, "node_modules")];
  return parent === folder ? here : [...here, ...moduleFolders(parent)];
}

async function entryOf(folder: string): Promise<Found> {
  const manifest = join(folder, "package.json");
  try {
    const { exports } = JSON.parse(await readFile(manifest, "utf8")) as { exports?: unknown };
    // Older packages have a `main`, and the same file however they are loaded.
    if (exports === undefined || exports === null) {
      return { kind: "found", file: createRequire(manifest).resolve(folder) };
    }
    const target = targetOf(isBySubpath(exports) ? exports["."] : exports);
    if (target !== undefined) return { kind: "found", file: join(folder, target) };
    return { kind: "unusable", why: `${manifest} exports nothing that can be imported` };
  } catch (thrown) {
    return { kind: "unusable", why: `${manifest}: ${firstLine(thrown)}` };
  }
}

function isBySubpath(exports: unknown): exports is Record<string, unknown> {
  if (typeof exports !== "object" || exports === null || Array.isArray(exports)) return false;
  return Object.keys(exports).some((key) => key.startsWith("."));
}

// The first condition that holds decides, in the order of the package.
function targetOf(entry: unknown): string | undefined {
  if (typeof entry === "string") return entry.startsWith("./") ? entry : undefined;
  if (typeof entry !== "object" || entry === null) return undefined;
  const ways: readonly unknown[] = Array.isArray(entry)
    ? entry
    : Object.entries(entry).flatMap(([key, way]): unknown[] => (CONDITIONS.has(key) ? [way] : []));
  for (const way of ways) {
    const target = targetOf(way);
    if (target !== undefined) return target;
  }
  return undefined;
}

async function kindOf(path: string): Promise<"file" | "folder" | undefined> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch {
    return undefined;
  }
}

/** What somebody else's error says, on one line. */
export function firstLine(thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return message.split("\n", 1)[0] ?? "";
}
