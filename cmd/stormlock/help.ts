// What `--help` prints. yargs lays it out, and is loaded for nothing else: that alone takes
// longer than most commands do.

import yargs from "yargs";
import type { Command, Option } from "./command.js";
import { usageOf } from "./command-line.js";

// Narrower than this nothing can be read, wider no line.
const NARROWEST = 60;
const WIDEST = 100;

/** Help for one command, or for all. */
export async function helpText(
  command: Command | undefined,
  commands: readonly Command[],
  globals: readonly Option[],
  width: number,
): Promise<string> {
  const page = yargs([])
    .scriptName("stormlock")
    .help(false)
    .version(false)
    .wrap(Math.min(Math.max(width, NARROWEST), WIDEST))
    .usage(command === undefined ? overview(commands) : introduction(command));
  for (const each of command === undefined ? commands : [])
    page.command(each.name, each.summary, () => undefined);
  for (const { name, describe, choices } of command?.positionals ?? []) {
    const which = choices === undefined ? "" : ` (${choices.join(", ")})`;
    page.option(name, { describe: describe + which, group: "Words:" });
  }
  for (const option of command?.options ?? []) addOption(page, option, "Options:");
  for (const option of globals) addOption(page, option, "Always:");
  const epilogue = command?.notes ?? "stormlock COMMAND --help tells more about each.";
  if (epilogue !== "") page.epilogue(epilogue);
  // yargs would have the positionals be options, dashes and all.
  const help = (await page.getHelp()).replaceAll(/^ {6}--([A-Z_]+)/gmu, "  $1      ");
  return `${help}\n`;
}

// The value's name goes with the option's: yargs itself would show a type at the far end.
function addOption(page: ReturnType<typeof yargs>, option: Option, group: string): void {
  const { name, short, describe, value, choices } = option;
  const shown = value === undefined ? name : `${name} ${value}`;
  const which = choices === undefined ? "" : ` (${choices.join(", ")})`;
  page.option(shown, {
    describe: describe + which,
    group,
    ...(short === undefined ? {} : { alias: short }),
  });
}

function introduction(command: Command): string {
  const options = command.options.length === 0 ? "" : " [OPTION...]";
  return [
    ...exampleLines(command.examples),
    "",
    `${usageOf(command)}${options}`,
    "",
    command.summary,
  ].join("\n");
}

function overview(commands: readonly Command[]): string {
  const first = commands.flatMap(({ examples }) => examples).slice(0, 2);
  return [
    ...exampleLines(first),
    "",
    "stormlock COMMAND [WORD...] [OPTION...]",
    "",
    "Named locks with leases and fencing tokens.",
  ].join("\n");
}

function exampleLines(
  examples: Command["examples"] | readonly Command["examples"][number][],
): string[] {
  return examples.flatMap(({ line, tells }) => [`  # ${tells}`, `  ${line}`]);
}
