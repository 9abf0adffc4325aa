import { dieBy, signalExitCode } from "./signals.js";

/** How a command came to its end. */
export type OwnEnd =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "signalled"; readonly signal: NodeJS.Signals }
  | { readonly kind: "not-found"; readonly message: string }
  | { readonly kind: "not-executable"; readonly message: string }
  /** It was too late to start it. */
  | { readonly kind: "not-started" };

/**
 * What cut it short, whatever its own end looks like then: the lock was lost or about to be, or
 * it could not be guarded any longer.
 */
export type Cut = "lost" | "unguarded";

export type CutEnd = OwnEnd & { readonly cut: Cut | undefined };

export type ChildEnd = CutEnd & {
  /** How many processes live on although they were killed: no signal reaches them. */
  readonly undying: number;
};

const EXIT_UNGUARDED = 70;
/** The lock was lost, whatever else has happened. */
export const EXIT_LOST = 76;
const EXIT_NOT_EXECUTABLE = 126;
const EXIT_NOT_FOUND = 127;

/** Whoever waits for a shell's command must see these as signals, see `dieBy`. */
const DIED_BY: ReadonlySet<NodeJS.Signals> = new Set<NodeJS.Signals>([
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGHUP",
]);

/** How this process is to end after the command has: with a code, or by a signal. */
export function wayOut(end: CutEnd): number | NodeJS.Signals {
  if (end.cut === "lost") return EXIT_LOST;
  if (end.cut === "unguarded") return EXIT_UNGUARDED;
  switch (end.kind) {
    case "exited":
      return end.code;
    case "signalled":
      return DIED_BY.has(end.signal) ? end.signal : signalExitCode(end.signal);
    case "not-found":
      return EXIT_NOT_FOUND;
    case "not-executable":
      return EXIT_NOT_EXECUTABLE;
    case "not-started":
      return EXIT_LOST;
  }
}

/** Ends this process as the command ended. For main alone, when all is given back. */
export function endLike(end: ChildEnd): void {
  const way = wayOut(end);
  if (typeof way === "number") process.exit(way);
  dieBy(way);
}
