// From the name of a plug-in to the type of backend that it exports.

import type { ZodObject } from "zod";
import type { BackendType } from "../type.js";
import { findModule, firstLine } from "./find.js";
import { guardOf } from "./guard.js";
import { importFile, OUR_FOLDER } from "./import-file.js";

export type Loaded =
  | { readonly kind: "loaded"; readonly type: PlugIn }
  /** There is no such package; the folders are those where it could have been. */
  | { readonly kind: "missing"; readonly lookedIn: readonly string[] }
  /** It is there, and cannot be used: why, in one line. */
  | { readonly kind: "unusable"; readonly why: string };

/** A plug-in's type, checked: its settings are there, and what it opens keeps to the port. */
export interface PlugIn extends BackendType {
  readonly settings: () => ZodObject;
}

const loading = new Map<string, Promise<Loaded>>();

/**
 * Loads a plug-in, once.
 * @param type a package's name, or the absolute path of a module's file
 * @param folder where a package is looked for first, with the folders above: the configuration's
 */
export function loadPlugIn(type: string, folder: string): Promise<Loaded> {
  const key = JSON.stringify([type, folder]);
  const loaded = loading.get(key) ?? load(type, folder);
  loading.set(key, loaded);
  return loaded;
}

async function load(type: string, folder: string): Promise<Loaded> {
  const found = await findModule(type, [folder, OUR_FOLDER]);
  if (found.kind !== "found") return found;
  const { file } = found;
  const unusable = (why: string): Loaded => ({ kind: "unusable", why });
  let exported: Record<string, unknown>;
  try {
    exported = await importFile(file);
  } catch (thrown) {
    return unusable(`${file} cannot be loaded: ${firstLine(thrown)}`);
  }
  const backend = exported["backend"];
  if (backend === undefined) {
    const names = Object.keys(exported).join(", ");
    return unusable(`${file} has no export called backend (it has ${names || "none"})`);
  }
  const flaw = flawOf(backend);
  if (flaw !== undefined) return unusable(`${file} exports a backend ${flaw}`);
  const given = backend as BackendType;
  try {
    const settings = await settingsOf(given);
    if (typeof settings === "string") return unusable(`${file} exports a backend ${settings}`);
    return { kind: "loaded", type: checked(type, given, settings) };
  } catch (thrown) {
    return unusable(`${file}: backend.settings throws: ${firstLine(thrown)}`);
  }
}

function flawOf(backend: unknown): string | undefined {
  if (typeof backend !== "object" || backend === null) return "that is no object";
  const { open, settings, setup } = backend as Record<string, unknown>;
  if (typeof open !== "function") return "without a function open";
  if (settings !== undefined && typeof settings !== "function") {
    return "whose settings are no function";
  }
  if (setup !== undefined && typeof setup !== "function") return "whose setup is no function";
  return undefined;
}

// The schema, or what is wrong with it. Without one anything may be said.
async function settingsOf(backend: BackendType): Promise<ZodObject | string> {
  const { z } = await import("zod");
  if (backend.settings === undefined) return z.looseObject({});
  const schema: unknown = await backend.settings({ z });
  if (typeof schema === "object" && schema !== null && "def" in schema && "shape" in schema) {
    return schema as ZodObject;
  }
  return "whose settings give no zod object: return z.strictObject({ ... })";
}

function checked(type: string, given: BackendType, schema: ZodObject): PlugIn {
  const guard = guardOf(type);
  const setup = given.setup?.bind(given);
  return {
    settings: () => schema,
    open: async (name, settings, deps) => {
      try {
        return guard.backend(await given.open(name, settings, deps));
      } catch (thrown) {
        throw guard.error(thrown);
      }
    },
    ...(setup === undefined
      ? {}
      : {
          setup: async (name, settings) => {
            try {
              return guard.setup(await setup(name, settings));
            } catch (thrown) {
              throw guard.error(thrown);
            }
          },
        }),
  };
}
