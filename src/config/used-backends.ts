// Which backends are meant by the rules, those that no section describes included.

import { checkBackend, type BackendConfig, type CheckOptions } from "./backend-settings.js";
import { BUILT_IN } from "./builtin.js";
import { headerOf } from "./document.js";
import type { Complaint } from "./errors.js";
import type { FileConfig } from "./file-config.js";
import { blame, type Origins } from "./origin.js";
import { quoted } from "./secrets.js";
import type { Rules } from "./rules.js";
import { suggest } from "./suggestion.js";

export interface BackendsOptions extends Pick<CheckOptions, "backendKeys" | "types"> {
  readonly file: FileConfig | undefined;
  readonly rules: Rules;
  readonly origins: Origins;
  readonly builtInPath: string;
}

export interface UsedBackends {
  readonly backends: ReadonlyMap<string, BackendConfig>;
  readonly usesBuiltInStore: boolean;
  readonly complaints: readonly Complaint[];
  readonly warnings: readonly string[];
}

/** All backends of the file, checked, and those that the rules imply. */
export async function usedBackends(options: BackendsOptions): Promise<UsedBackends> {
  const { file, rules, origins, backendKeys, types } = options;
  const backends = new Map<string, BackendConfig>();
  const complaints: Complaint[] = [];
  const warnings: string[] = [];
  const dialect = file?.dialect ?? "toml";
  const check = async (section: Parameters<typeof checkBackend>[0]): Promise<void> => {
    const path = file?.path ?? "";
    const checked = await checkBackend(section, { path, dialect, backendKeys, types });
    backends.set(section.name, checked.backend);
    complaints.push(...checked.complaints);
    warnings.push(...checked.warnings);
  };
  for (const section of file?.backends.values() ?? []) await check(section);
  const described = Array.from(backends.keys());

  const imply = async (name: string, place: string): Promise<void> => {
    if (backends.has(name)) return;
    if (name === BUILT_IN) {
      backends.set(name, builtIn(options.builtInPath));
    } else if (dialect === "ini") {
      // There a name is a type, and its section may be left out.
      await check({ kind: "backend", name, line: undefined, entries: [], tolerated: new Set() });
    } else {
      complaints.push({
        ...blame(place, origins),
        found: quoted(name),
        expected: [...described.map(quoted), `${quoted(BUILT_IN)} for the local store`].join(", "),
        suggestion: suggest(name, described),
      });
    }
  };

  const fallbackName = rules.fallback.backend;
  if (fallbackName !== undefined) {
    await imply(fallbackName, "[default] backend");
  } else if (file === undefined || (dialect === "toml" && described.length === 0)) {
    await imply(BUILT_IN, "[default] backend");
  } else if (!backends.has(BUILT_IN)) {
    // Nobody shall lock in an empty local store without knowing.
    const missing = noBackend(file, described);
    if (dialect === "toml" && backendKeys !== undefined) complaints.push(missing);
    const problem = `${file.path} names no backend for this resource; write backend = NAME in [default]`;
    backends.set(BUILT_IN, { ...builtIn(""), settings: {}, shown: {}, isBuiltIn: false, problem });
  }
  for (const { pattern, rule } of rules.sections) {
    if (rule.backend === undefined) continue;
    const header = headerOf(dialect, { kind: "resource", name: pattern });
    await imply(rule.backend, `${header} backend`);
  }
  const usesBuiltInStore = Array.from(backends.values()).some(({ isBuiltIn }) => isBuiltIn);
  return { backends, usesBuiltInStore, complaints, warnings };
}

function builtIn(path: string): BackendConfig {
  const settings = { path };
  const where = new Map([["", "built in"]]);
  return { name: BUILT_IN, type: "sqlite", settings, shown: settings, where, isBuiltIn: true };
}

function noBackend(file: FileConfig, described: readonly string[]): Complaint {
  const line = file.lines.get("[default]");
  return {
    file: file.path,
    line,
    key: "[default] backend",
    found: "nothing",
    expected: `${described.map(quoted).join(" or ")}, or ${quoted(BUILT_IN)} for the local store`,
  };
}
