import { readFileSync } from "node:fs";

const REPLACEMENT = "\uFFFD";

/**
 * The first argument of this process that is not valid UTF-8, as well as it can be shown. Node
 * hands such an argument on with its bytes replaced: a command would work on another file than
 * the one that was named, so it must not run.
 */
export function undecodableArgument(
  argv: readonly string[] = process.argv,
  rawFile = "/proc/self/cmdline",
): string | undefined {
  const suspect = argv.find((argument) => argument.includes(REPLACEMENT));
  if (suspect === undefined) return undefined; // So it is for everybody, always.
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(rawFile));
    return undefined; // Somebody really wrote that character.
  } catch {
    return suspect;
  }
}
