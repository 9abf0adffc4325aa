import type { BackendConfig } from "../../src/config/backend-settings.js";
import type { Config } from "../../src/config/index.js";
import { suggest } from "../../src/config/suggestion.js";
import { configOf } from "./ask.js";
import { checkBackends } from "./backend/check.js";
import { setUpBackends } from "./backend/setup.js";
import type { Run } from "./command.js";
import { UsageError } from "./usage-error.js";

export const backend: Run = async (words, scene) => {
  const action = words.positional("ACTION");
  if (action === "check" && words.has("print")) {
    throw new UsageError("--print belongs to setup: check prints what it finds anyway");
  }
  const config = await configOf(words, scene, {}, "check");
  for (const warning of config.warnings) scene.output.note(warning);
  const named = namedBackends(config, words.optionalPositional("NAME"));
  return action === "check"
    ? await checkBackends(named, config, scene)
    : await setUpBackends(named, words.has("print"), scene.output);
};

function namedBackends(
  { backends, path }: Config,
  name: string | undefined,
): readonly BackendConfig[] {
  const all = Array.from(backends.values());
  if (name === undefined) return all;
  const found = backends.get(name);
  if (found !== undefined) return [found];
  const names = Array.from(backends.keys());
  const near = suggest(name, names);
  const where = path ?? "the built-in configuration";
  throw new UsageError(
    `there is no backend ${JSON.stringify(name)} in ${where}, but ${names.join(", ")}` +
      (near === undefined ? "" : `; did you mean ${near}?`),
  );
}
