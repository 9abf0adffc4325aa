// How a command's end looks to a script. The numbers of 64 and above are those of sysexits.h.

import { ConfigError, UnusableConfigError } from "../../src/config/errors.js";
import { LockError, type ErrorKind } from "../../src/lock/errors.js";
import { UsageError } from "./usage-error.js";

export const ExitCode = {
  OK: 0,
  /** A plain no: nothing is held, or not by this lease. */
  NO: 1,
  /** Somebody else holds it, or the wait ran out. */
  HELD: 2,
  /** The lease is not, or no longer, the one that holds. */
  LOST: 3,
  USAGE: 64,
  UNREACHABLE: 69,
  INTERNAL: 70,
  /** hold: somebody else holds it, or the wait ran out; nothing was run. */
  NOT_ACQUIRED: 75,
  NOT_ALLOWED: 77,
  CONFIG: 78,
  /** What SIGPIPE would do: whoever read the output has gone. */
  BROKEN_PIPE: 128 + 13,
} as const;

// Does not compile until a new kind is in it.
const CODE_OF_KIND: Record<ErrorKind, number> = {
  "lock-held": ExitCode.HELD,
  "lease-lost": ExitCode.LOST,
  "invalid-field": ExitCode.USAGE,
  "not-allowed": ExitCode.NOT_ALLOWED,
  unreachable: ExitCode.UNREACHABLE,
  unavailable: ExitCode.UNREACHABLE,
  overloaded: ExitCode.UNREACHABLE,
  cancelled: ExitCode.UNREACHABLE,
  "timed-out": ExitCode.UNREACHABLE,
  internal: ExitCode.INTERNAL,
};

/** What ended a command, for a script and for a person. */
export interface Ending {
  readonly code: number;
  /** A stable word. */
  readonly kind: string;
  /** One line, or one for every complaint. */
  readonly message: string;
  /** What to do next, if there is something to say. */
  readonly hint?: string;
}

/** The exit code and the words for whatever was thrown. */
export function endingOf(thrown: unknown): Ending {
  if (thrown instanceof UsageError)
    return { code: ExitCode.USAGE, kind: "usage", message: thrown.message };
  if (thrown instanceof LockError)
    return { code: CODE_OF_KIND[thrown.kind], kind: thrown.kind, message: thrown.message };
  if (thrown instanceof ConfigError && thrown.isUsage)
    return { code: ExitCode.USAGE, kind: "usage", message: thrown.message };
  if (thrown instanceof ConfigError || thrown instanceof UnusableConfigError)
    return { code: ExitCode.CONFIG, kind: "config", message: thrown.message };
  const words = thrown instanceof Error ? thrown.message : String(thrown);
  return {
    code: ExitCode.INTERNAL,
    kind: "internal",
    message: `internal error: ${words.replaceAll(/\s*\n\s*/gu, " ")}`,
    hint: "this is a mistake in stormlock; STORMLOCK_DEBUG=1 shows where",
  };
}
