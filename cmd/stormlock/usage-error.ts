/** What was typed cannot be meant: one line that says why, and where to find what can. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
