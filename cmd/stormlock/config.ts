import {
  ConfigError,
  findConfig,
  showConfig,
  type Config,
  type Surroundings,
} from "../../src/config/index.js";
import { clientFlags, configOf } from "./ask.js";
import type { Run, Scene, Words } from "./command.js";
import { ExitCode } from "./exit-code.js";
import { homeOf } from "./home.js";

export const config: Run = async (words, scene) => {
  switch (words.positional("ACTION")) {
    case "check":
      return await check(words, scene);
    case "show":
      return await show(words, scene);
    default:
      return path(words, scene);
  }
};

async function check(words: Words, scene: Scene): Promise<number> {
  const { output } = scene;
  try {
    const checked = await configOf(words, scene, clientFlags(words), "check");
    warn(checked, scene);
    const problems = Array.from(checked.backends.values()).flatMap(({ problem }) => problem ?? []);
    for (const problem of problems) output.note(problem);
    if (output.isJson) output.json({ ok: true, path: checked.path ?? null });
    else output.result(`${checked.path ?? "no file, built-in defaults"}: all right\n`);
    return ExitCode.OK;
  } catch (thrown) {
    if (!(thrown instanceof ConfigError) || !output.isJson) throw thrown;
    output.json({ ok: false, complaints: thrown.complaints });
    return thrown.isUsage ? ExitCode.USAGE : ExitCode.CONFIG;
  }
}

async function show(words: Words, scene: Scene): Promise<number> {
  const shown = await configOf(words, scene, clientFlags(words), "check");
  warn(shown, scene);
  const toml = showConfig(shown);
  if (scene.output.isJson) scene.output.json({ path: shown.path ?? null, toml });
  else scene.output.result(toml);
  return ExitCode.OK;
}

function path(words: Words, { output, env }: Scene): number {
  const { file, warnings } = findConfig(words.value("config"), surroundings(env));
  for (const warning of warnings) output.note(warning);
  if (file === undefined) {
    output.no("no-file", "there is no configuration file: built-in defaults apply");
    return ExitCode.NO;
  }
  if (output.isJson) output.json({ path: file.path });
  else output.result(`${file.path}\n`);
  return ExitCode.OK;
}

function warn({ warnings }: Config, { output }: Scene): void {
  for (const warning of warnings) output.note(warning);
}

function surroundings(env: Scene["env"]): Surroundings {
  return {
    env,
    home: homeOf(env),
    cwd: process.cwd(),
    uid: process.getuid?.(),
  };
}
