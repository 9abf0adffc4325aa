// From argv to a command and its words. Node's own parser cuts argv up, being there already;
// what may be in it is checked here, against the table, with an answer for whoever mistyped it.

import { parseArgs } from "node:util";
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
 * Takes the command that is to be run, and its arguments, off argv, so that nobody takes them for
 * ours: what comes after `--`, or after one RESOURCE from the next word on that is no option.
 * With an option that says that there is none, only what comes after `--`.
 */
export function cutOff(
  argv: readonly string[],
  commands: readonly Command[],
  globals: readonly Option[],
): { readonly own: readonly string[]; readonly rest: readonly string[] | undefined } {
  const at = commandIndex(argv, [...globals, ...commands.flatMap(({ options }) => options)]);
  const command = at < 0 ? undefined : commands.find(({ name }) => name === argv[at]);
  if (command?.runsCommand !== true) return { own: argv, rest: undefined };
  const known = [...globals, ...command.options];
  const wordsAt: number[] = [];
  let isAlone = false;
  for (let next = at + 1; next < argv.length; next++) {
    const word = argv[next] ?? "";
    if (word === "--") return { own: argv.slice(0, next), rest: argv.slice(next + 1) };
    if (isInsteadOfCommand(word, known)) isAlone = true;
    else if (!word.startsWith("-") || word === "-") wordsAt.push(next);
    else if (takesNextWord(word, known)) next += 1;
    // A dash behind the second word that is no option of ours is the command's own: so it has
    // begun by then, and a `--` further on is its own, too.
    else if (wordsAt.length > 1 && !isOurs(word, known)) break;
  }
  const startsAt = wordsAt[1];
  if (startsAt === undefined || isAlone) return { own: argv, rest: undefined };
  return { own: argv.slice(0, startsAt), rest: argv.slice(startsAt) };
}

/**
 * Reads argv.
 * @throws UsageError
 */
export function readCommandLine(
  typed: readonly string[],
  commands: readonly Command[],
  globals: readonly Option[],
): CommandLine {
  const { own: argv, rest } = cutOff(typed, commands, globals);
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
    words: new Words(namePositionals(command, positionals), checkOptions(known, options), rest),
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
    if (takesNextWord(word, options)) at += 1;
  }
  return -1;
}

function takesNextWord(word: string, options: readonly Option[]): boolean {
  const option = options.find(
    ({ name, short }) => word === `--${name}` || word === `-${short ?? ""}`,
  );
  return option?.value !== undefined;
}

function isInsteadOfCommand(word: string, options: readonly Option[]): boolean {
  return options.some(
    ({ name, isInsteadOfCommand: isSo }) => isSo === true && word === `--${name}`,
  );
}

function isOurs(word: string, options: readonly Option[]): boolean {
  return options.some(({ name, short }) =>
    word.startsWith("--")
      ? word.split("=", 1)[0] === `--${name}`
      : short !== undefined && word.startsWith(`-${short}`),
  );
}

function beforeDoubleDash(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf("--");
  return end < 0 ? argv : argv.slice(0, end);
}

function cut(argv: readonly string[], known: readonly Option[]): Cut {
  const { tokens } = parseArgs({
    args: [...argv],
    options: Object.fromEntries(
      known.map(({ name, short, value }) => [
        name,
        {
          type: value === undefined ? ("boolean" as const) : ("string" as const),
          ...(short === undefined ? {} : { short }),
        },
      ]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const positionals: string[] = [];
  const options = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const option = known.find(({ name }) => name === token.name);
    if (option === undefined) throw unknownOption(token.rawName, known);
    const values = options.get(option.name) ?? [];
    options.set(option.name, [...values, valueOf(token, option)]);
  }
  return { positionals, options };
}

interface OptionToken {
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

// What comes after a space and begins with a dash was meant to be an option.
function valueOf({ rawName, value, inlineValue }: OptionToken, option: Option): string {
  if (option.value === undefined) {
    if (value !== undefined) throw new UsageError(`--${option.name} takes no value`);
    return "";
  }
  if (value === undefined || (inlineValue !== true && value.startsWith("-"))) {
    throw new UsageError(
      `--${option.name} needs a value: --${option.name} ${option.value}, or --${option.name}=VALUE where it begins with a dash`,
    );
  }
  return inlineValue === true && !rawName.startsWith("--") ? value.replace(/^=/u, "") : value;
}

function namePositionals(
  command: Command,
  given: readonly string[],
): ReadonlyMap<string, readonly string[]> {
  const named = new Map<string, readonly string[]>();
  command.positionals.forEach(({ name, isOptional, isRepeatable, choices }, at) => {
    const words = isRepeatable === true ? given.slice(at) : given.slice(at, at + 1);
    if (words.length === 0) {
      if (isOptional === true) return;
      const which = choices === undefined ? "" : `: ${choices.join(", ")}`;
      throw new UsageError(`${command.name} needs ${name}${which}`);
    }
    for (const word of words) checkChoice(name, word, choices);
    named.set(name, words);
  });
  const isOpen = command.positionals.at(-1)?.isRepeatable === true;
  const extra = isOpen ? undefined : given[command.positionals.length];
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
    for (const each of value === undefined ? [] : values) {
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
export function usageOf({ name, positionals, runsCommand }: Command): string {
  return [
    `stormlock ${name}`,
    ...positionals.map(({ name: word, isOptional, isRepeatable }) => {
      const words = isRepeatable === true ? `${word}...` : word;
      return isOptional === true ? `[${words}]` : words;
    }),
    ...(runsCommand === true ? ["[--] COMMAND [ARG...]"] : []),
  ].join(" ");
}

function unknownCommand(word: string | undefined, commands: readonly Command[]): UsageError {
  const names = commands.map(({ name }) => name);
  if (word === undefined) return new UsageError(`no command is given: ${names.join(", ")}`);
  return new UsageError(
    `there is no command ${JSON.stringify(word)}${didYouMean("", word, names)}`,
  );
}

function unknownOption(rawName: string, known: readonly Option[]): UsageError {
  const names = known.map((option) => option.name);
  const near = rawName.startsWith("--") ? didYouMean("--", rawName.slice(2), names) : "";
  return new UsageError(`there is no option ${rawName}${near}`);
}

// The configuration's words have underscores where ours have dashes.
function didYouMean(dashes: string, word: string, names: readonly string[]): string {
  const near = suggest(
    word,
    names.map((name) => name.replaceAll("-", "_")),
  );
  return near === undefined ? "" : `; did you mean ${dashes}${near.replaceAll("_", "-")}?`;
}
