// From argv to a command and its words. yargs-parser cuts argv up; what may be in it is checked
// here, against the table, with an answer for whoever mistyped it.

import parse from "yargs-parser";
import { suggest } from "../../src/config/suggestion.js";
import { Words, type Command, type Option } from "./command.js";
import { UsageError } from "./usage-error.js";

export type CommandLine =
  | { readonly kind: "run"; readonly command: Command; readonly words: Words }
  | { readonly kind: "help"; readonly command: Command | undefined }
  | { readonly kind: "version" };

interface Cut {
  readonly positionals: readonly string[];
  readonly options: ReadonlyMap<string, readonly string[]>;
}

/**
 * Reads argv.
 * @throws UsageError
 */
export function readCommandLine(
  argv: readonly string[],
  commands: readonly Command[],
  globals: readonly Option[],
): CommandLine {
  const at = commandIndex(argv, [...globals, ...commands.flatMap(({ options }) => options)]);
  const command = at < 0 ? undefined : commands.find(({ name }) => name === argv[at]);
  const known = [...globals, ...(command?.options ?? [])];
  // Asked for help or the version, whatever else is wrong.
  const asks = new Set(beforeDoubleDash(argv));
  if (asks.has("--help") || asks.has("-h")) return { kind: "help", command };
  if (command === undefined) {
    if (asks.has("--version")) return { kind: "version" };
    const named = at < 0 ? undefined : argv[at];
    if (named === undefined) cut(argv, known);
    throw unknownCommand(named, commands);
  }
  const { positionals, options } = cut(argv.toSpliced(at, 1), known);
  if (options.has("version")) return { kind: "version" };
  return {
    kind: "run",
    command,
    words: new Words(namePositionals(command, positionals), checkOptions(known, options)),
  };
}

/** Whether an option was typed: for what must be known even if the rest cannot be read. */
export function isGiven(argv: readonly string[], option: Option): boolean {
  return beforeDoubleDash(argv).some(
    (word) => word === `--${option.name}` || (option.short && word === `-${option.short}`),
  );
}

// The first word that is neither an option of ours nor the value of one.
function commandIndex(argv: readonly string[], options: readonly Option[]): number {
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? "";
    if (word === "--") return -1;
    if (!word.startsWith("-") || word === "-") return at;
    const option = options.find(
      ({ name, short }) => word === `--${name}` || word === `-${short ?? ""}`,
    );
    if (option?.value !== undefined) at += 1;
  }
  return -1;
}

function beforeDoubleDash(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf("--");
  return end < 0 ? argv : argv.slice(0, end);
}

function cut(argv: readonly string[], known: readonly Option[]): Cut {
  const flags = known.filter(({ value }) => value === undefined);
  const valued = known.filter(({ value }) => value !== undefined).map(({ name }) => name);
  const { argv: found, error } = parse.detailed([...argv], {
    alias: Object.fromEntries(
      known.flatMap(({ name, short }) => (short === undefined ? [] : [[name, [short]]])),
    ),
    boolean: flags.map(({ name }) => name),
    string: valued,
    narg: Object.fromEntries(valued.map((name) => [name, 1])),
    configuration: {
      "boolean-negation": false,
      "camel-case-expansion": false,
      "dot-notation": false,
      "parse-numbers": false,
      "parse-positional-numbers": false,
      "strip-aliased": true,
    },
  });
  for (const word of beforeDoubleDash(argv)) {
    const flag = flags.find(({ name }) => word.startsWith(`--${name}=`));
    if (flag !== undefined) throw new UsageError(`--${flag.name} takes no value`);
  }
  const { _: positionals, ...rest } = found as Record<string, unknown>;
  const options = new Map<string, readonly string[]>();
  for (const [name, value] of Object.entries(rest)) {
    if (value === undefined || value === false) continue;
    options.set(name, (Array.isArray(value) ? value : [value]).map(String));
  }
  // Before the missing value: a mistyped option may be what swallowed or lost it.
  for (const name of options.keys()) {
    if (!known.some((option) => option.name === name)) throw unknownOption(name, known);
  }
  if (error !== null) throw missingValue(error, known);
  return { positionals: (positionals as unknown[]).map(String), options };
}

function namePositionals(command: Command, given: readonly string[]): ReadonlyMap<string, string> {
  const named = new Map<string, string>();
  command.positionals.forEach(({ name, isOptional, choices }, at) => {
    const word = given[at];
    if (word === undefined) {
      if (isOptional === true) return;
      const which = choices === undefined ? "" : `: ${choices.join(", ")}`;
      throw new UsageError(`${command.name} needs ${name}${which}`);
    }
    checkChoice(name, word, choices);
    named.set(name, word);
  });
  const extra = given[command.positionals.length];
  if (extra !== undefined) {
    throw new UsageError(
      `${command.name} takes no ${JSON.stringify(extra)}: its words are ${usageOf(command)}`,
    );
  }
  return named;
}

function checkOptions(
  known: readonly Option[],
  given: ReadonlyMap<string, readonly string[]>,
): ReadonlyMap<string, readonly string[]> {
  for (const { name, value, isRepeatable, choices } of known) {
    const values = given.get(name) ?? [];
    if (value !== undefined && isRepeatable !== true && values.length > 1)
      throw new UsageError(`--${name} is given ${String(values.length)} times: give it once`);
    for (const each of values) {
      if (each === "" && name !== "reason") throw new UsageError(`--${name} is empty`);
      checkChoice(`--${name}`, each, choices);
    }
  }
  return given;
}

function checkChoice(name: string, word: string, choices: readonly string[] | undefined): void {
  if (choices === undefined || choices.includes(word)) return;
  throw new UsageError(
    `${name} ${JSON.stringify(word)} is none of ${choices.join(", ")}${didYouMean("", word, choices)}`,
  );
}

/** The words of a command, as help shows them. */
export function usageOf({ name, positionals }: Command): string {
  return [
    `stormlock ${name}`,
    ...positionals.map(({ name: word, isOptional }) => (isOptional === true ? `[${word}]` : word)),
  ].join(" ");
}

function unknownCommand(word: string | undefined, commands: readonly Command[]): UsageError {
  const names = commands.map(({ name }) => name);
  if (word === undefined) return new UsageError(`no command is given: ${names.join(", ")}`);
  return new UsageError(
    `there is no command ${JSON.stringify(word)}${didYouMean("", word, names)}`,
  );
}

function unknownOption(name: string, known: readonly Option[]): UsageError {
  const dashes = name.length === 1 ? "-" : "--";
  const names = known.map((option) => option.name);
  return new UsageError(`there is no option ${dashes}${name}${didYouMean("--", name, names)}`);
}

function missingValue(error: Error, known: readonly Option[]): Error {
  const name = /: ([^ ]+)$/u.exec(error.message)?.[1];
  const option = known.find((each) => each.name === name);
  if (option?.value === undefined) return new UsageError(error.message);
  return new UsageError(
    `--${option.name} needs a value: --${option.name} ${option.value}, or --${option.name}=VALUE where it begins with a dash`,
  );
}

// The configuration's words have underscores where ours have dashes.
function didYouMean(dashes: string, word: string, names: readonly string[]): string {
  const near = suggest(
    word,
    names.map((name) => name.replaceAll("-", "_")),
  );
  return near === undefined ? "" : `; did you mean ${dashes}${near.replaceAll("_", "-")}?`;
}
