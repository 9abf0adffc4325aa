// Completion scripts, written from the table: they need no process of ours to complete a word.

import type { Command, Option, Positional, Run } from "./command.js";
import { ExitCode } from "./exit-code.js";

/** The command that prints the scripts for a table. */
export function completionOf(commands: readonly Command[], globals: readonly Option[]): Run {
  return (words, { output }) => {
    const shell = words.positional("SHELL");
    const script = shell === "zsh" ? zshScript(commands, globals) : bashScript(commands, globals);
    if (output.isJson) output.json({ shell, script });
    else output.result(script);
    return Promise.resolve(ExitCode.OK);
  };
}

const flags = (options: readonly Option[]): string[] =>
  options.flatMap(({ name, short }) => [
    `--${name}`,
    ...(short === undefined ? [] : [`-${short}`]),
  ]);

const valued = (options: readonly Option[]): readonly Option[] =>
  options.filter(({ value }) => value !== undefined);

function bashScript(commands: readonly Command[], globalOptions: readonly Option[]): string {
  const globals = flags(globalOptions);
  const all = [...globalOptions, ...commands.flatMap(({ options }) => options)];
  const files = flags(valued(all).filter(({ value }) => value === "FILE"));
  const takers = flags(valued(all));
  const choices = all.filter((option) => option.choices !== undefined);
  const lines = [
    "# Completes the words of stormlock in bash: source <(stormlock completion bash)",
    "_stormlock() {",
    '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"',
    "  local command= at",
    "  COMPREPLY=()",
    // Behind `--` there is a command of somebody else's.
    '  if [[ " ${COMP_WORDS[*]:1:COMP_CWORD-1} " == *" -- "* ]]; then',
    '    COMPREPLY=($(compgen -c -f -- "$word")); return',
    "  fi",
    '  case "$before" in',
    `    ${unique(files).join("|")}) COMPREPLY=($(compgen -f -- "$word")); return ;;`,
    ...choices.map(
      (option) => `    ${flags([option]).join("|")}) ${reply(option.choices ?? [])}; return ;;`,
    ),
    `    ${unique(takers).join("|")}) return ;;`,
    "  esac",
    "  for ((at = 1; at < COMP_CWORD; at++)); do",
    '    case "${COMP_WORDS[at]}" in',
    `      ${unique(takers).join("|")}) at=$((at + 1)) ;;`,
    "      -*) ;;",
    '      *) command="${COMP_WORDS[at]}"; break ;;',
    "    esac",
    "  done",
    '  case "$command" in',
    `    "") ${reply([...commands.map(({ name }) => name), ...globals])} ;;`,
    ...commands.map(
      (command) =>
        `    ${command.name}) ${reply([...firstChoices(command), ...flags(command.options), ...globals])} ;;`,
    ),
    "  esac",
    "}",
    "complete -F _stormlock stormlock",
  ];
  return `${lines.join("\n")}\n`;
}

function reply(words: readonly string[]): string {
  return `COMPREPLY=($(compgen -W "${words.join(" ")}" -- "$word"))`;
}

function firstChoices({ positionals }: Command): readonly string[] {
  return positionals[0]?.choices ?? [];
}

function unique(words: readonly string[]): readonly string[] {
  return [...new Set(words)];
}

function zshScript(commands: readonly Command[], globals: readonly Option[]): string {
  const lines = [
    "#compdef stormlock",
    "# Completes the words of stormlock in zsh: put this as _stormlock into a directory of fpath",
    "_stormlock() {",
    "  local context state line",
    "  local -A opt_args",
    "  local -a commands",
    "  commands=(",
    ...commands.map(({ name, summary }) => `    '${quoted(name)}:${quoted(summary)}'`),
    "  )",
    "  _arguments -C \\",
    ...globals.map((option) => `    ${zshOption(option)} \\`),
    "    '1:command:->command' '*::word:->words'",
    '  case "$state" in',
    "    command) _describe command commands ;;",
    "    words)",
    '      case "$line[1]" in',
    ...commands.map(
      (command) => `        ${command.name}) _arguments ${zshWords(command, globals).join(" ")} ;;`,
    ),
    "      esac ;;",
    "  esac",
    "}",
    'if [ "$funcstack[1]" = _stormlock ]; then _stormlock "$@"; else compdef _stormlock stormlock; fi',
  ];
  return `${lines.join("\n")}\n`;
}

function zshWords(
  { positionals, options }: Command,
  globals: readonly Option[],
): readonly string[] {
  return [
    ...[...options, ...globals].map(zshOption),
    ...positionals.map((word, at) => zshPositional(word, at + 1)),
  ];
}

function zshOption({ name, short, describe, value, choices, isRepeatable }: Option): string {
  const action =
    choices === undefined ? (value === "FILE" ? "_files" : "") : `(${choices.join(" ")})`;
  const rest = `[${quoted(describe)}]${value === undefined ? "" : `:${quoted(value)}:${action}`}`;
  const names = short === undefined ? `--${name}` : `{-${short},--${name}}`;
  const many = isRepeatable === true ? "'*'" : short === undefined ? "" : `'(-${short} --${name})'`;
  return `${many}${names}'${rest}'`;
}

function zshPositional({ name, choices, isOptional }: Positional, at: number): string {
  const action = choices === undefined ? "" : `(${choices.join(" ")})`;
  return `'${String(at)}:${isOptional === true ? ":" : ""}${quoted(name)}:${action}'`;
}

// For single quotes, and for the brackets and colons that mean something to _arguments.
function quoted(text: string): string {
  return text.replaceAll("'", "'\\''").replaceAll(/[[\]:]/gu, "\\$&");
}
