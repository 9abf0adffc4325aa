import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { constants, Script } from "node:vm";

/** Where packages that were installed beside the single file can be found. */
export const OUR_FOLDER = dirname(process.execPath);

// In a single file an import reaches Node's own modules alone, unless it is said that it shall be
// resolved as in any program.
const importAnything = new Script("(url) => import(url)", {
  importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
}).runInThisContext() as (url: string) => Promise<Record<string, unknown>>;

/** Loads a module of somebody else's from the file system. */
export async function importFile(path: string): Promise<Record<string, unknown>> {
  return await importAnything(pathToFileURL(path).href);
}
