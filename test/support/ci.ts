/**
 * Whether this run judges the project: what is missing on the machine fails its tests then. On
 * anybody's own machine they are skipped, visibly.
 */
export const isCi = !["", "0", "false"].includes(process.env["CI"] ?? "");

/**
 * Takes in why something cannot be tested on this machine.
 * @returns the same, to be said beside the tests that are skipped
 * @throws Error in CI
 */
export function skipped(why: string): string {
  if (isCi) throw new Error(why);
  return why;
}
