import { dirname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** Where packages that were installed beside this one can be found. */
export const OUR_FOLDER = dirname(fileURLToPath(import.meta.url));

/** Loads a module of somebody else's. The single file has another way: import-file.embedded.ts */
export async function importFile(path: string): Promise<Record<string, unknown>> {
  return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
}
