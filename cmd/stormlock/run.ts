// argv -> command -> exit code, without touching the process.

import { cutOff, isGiven, readCommandLine } from "./command-line.js";
import type { Scene } from "./command.js";
import { COMMANDS, GLOBAL_OPTIONS } from "./commands.js";
import { endingOf, ExitCode } from "./exit-code.js";
import { Output, OutputError } from "./output.js";
import { VERSION } from "./version.js";

export { endingOf };

export interface Invocation extends Omit<Scene, "output"> {
  /** What was typed, without node and the program. */
  readonly argv: readonly string[];
  /** Columns of the terminal. */
  readonly width: () => number;
}

/**
 * Runs what was typed. Throws nothing.
 * @returns the exit code, the signal to die by, or "stopped" when the process was asked to end and
 *   shall do so now
 */
export async function run(invocation: Invocation): Promise<number | NodeJS.Signals | "stopped"> {
  const { argv: typed, env, isTerminal } = invocation;
  const { own: argv } = cutOff(typed, COMMANDS, GLOBAL_OPTIONS);
  const isWanted = (name: string): boolean =>
    GLOBAL_OPTIONS.some((option) => option.name === name && isGiven(argv, option));
  const output = new Output({
    isJson: isWanted("json"),
    isQuiet: isWanted("quiet"),
    isColoured: () => (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb" && isTerminal(2),
  });
  let stop: AbortSignal | undefined;
  const untilStopped = (): AbortSignal => (stop = invocation.untilStopped());
  try {
    const line = readCommandLine(typed, COMMANDS, GLOBAL_OPTIONS);
    switch (line.kind) {
      case "version":
        printVersion(output);
        return ExitCode.OK;
      case "help": {
        const { helpText } = await import("./help.js");
        const text = await helpText(line.command, COMMANDS, GLOBAL_OPTIONS, invocation.width());
        output.result(text);
        return ExitCode.OK;
      }
      case "run": {
        const command = await line.command.load();
        return await command(line.words, { output, env, isTerminal, untilStopped });
      }
    }
  } catch (thrown) {
    if (stop?.aborted === true && !(thrown instanceof OutputError)) return "stopped";
    return fail(thrown, output, argv, env);
  } finally {
    output.end();
  }
}

function printVersion(output: Output): void {
  if (output.isJson) output.json({ version: VERSION });
  else output.result(`stormlock ${VERSION}\n`);
}

function fail(thrown: unknown, output: Output, argv: readonly string[], env: Scene["env"]): number {
  if (thrown instanceof OutputError) {
    if (!thrown.isBrokenPipe || thrown.remedy !== undefined) output.error("output", thrown.message);
    return thrown.isBrokenPipe ? ExitCode.BROKEN_PIPE : ExitCode.INTERNAL;
  }
  const { code, kind, message, hint } = endingOf(thrown);
  const isUsage = code === ExitCode.USAGE;
  output.error(kind, message, isUsage ? usageHint(argv) : hint);
  if ((env["STORMLOCK_DEBUG"] ?? "") !== "" && thrown instanceof Error)
    output.error("debug", `${thrown.stack ?? ""}${causes(thrown)}`);
  return code;
}

function usageHint(argv: readonly string[]): string {
  const command = COMMANDS.find(({ name }) => argv.includes(name));
  return `stormlock ${command === undefined ? "" : `${command.name} `}--help tells more`;
}

function causes(error: Error): string {
  let text = "";
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause)
    text += `\ncaused by ${cause.stack ?? cause.message}`;
  return text;
}
