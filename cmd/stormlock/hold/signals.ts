import { constants } from "node:os";
import { writeFileSync } from "node:fs";

/**
 * What a terminal does not send to everybody in the foreground by itself. INT and QUIT it
 * does: whoever passed them on would have the command get them twice.
 */
const BESIDE_A_TERMINAL = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;
const FROM_A_TERMINAL = ["SIGINT", "SIGQUIT"] as const;
const WITHOUT_A_TERMINAL = [
  ...BESIDE_A_TERMINAL,
  ...FROM_A_TERMINAL,
  "SIGALRM",
  "SIGVTALRM",
  "SIGIO",
  "SIGPWR",
  "SIGWINCH",
  "SIGCONT",
] as const;

/** The signals that stop a wait for a lock; the exit code is `signalExitCode` of it. */
export const ENDING_SIGNALS: readonly NodeJS.Signals[] = [...BESIDE_A_TERMINAL, ...FROM_A_TERMINAL];

/** What a shell says of a process that a signal ended: 128 + its number. */
export function signalExitCode(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

/** Calls `heard` for each of the signals, instead of what they do by default, until disposed. */
export function listenFor(
  signals: readonly NodeJS.Signals[],
  heard: (signal: NodeJS.Signals) => void,
): Disposable {
  const known = signals.filter((signal) => signal in constants.signals);
  for (const signal of known) process.on(signal, heard);
  return {
    [Symbol.dispose]: () => {
      for (const signal of known) process.off(signal, heard);
    },
  };
}

/**
 * Passes on to a command the signals that it does not get anyway, and keeps this process from
 * dying by any of them.
 */
export function forwardSignals(
  hasTerminal: boolean,
  forward: (signal: NodeJS.Signals) => void,
): Disposable {
  if (!hasTerminal) return listenFor(WITHOUT_A_TERMINAL, forward);
  return listenFor(ENDING_SIGNALS, (signal) => {
    if (!FROM_A_TERMINAL.some((each) => each === signal)) forward(signal);
  });
}

// Long enough for a signal to arrive, too short for anybody to notice.
const SIGNAL_ARRIVES_MS = 200;

/**
 * Ends this process by the signal, so that whoever waits for it sees what ended the command: a
 * shell's loop stops on Ctrl-C only so. Where the signal has no effect, as on process 1 of a
 * container, the exit code says it.
 */
export function dieBy(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal);
  if (signal === "SIGQUIT") leaveNoCore();
  setTimeout(() => {
    process.exit(signalExitCode(signal));
  }, SIGNAL_ARRIVES_MS);
  process.kill(process.pid, signal);
}

/** The core of the command is of use to somebody, that of its wrapper is not. */
function leaveNoCore(): void {
  try {
    writeFileSync("/proc/self/coredump_filter", "0");
  } catch {
    // Not Linux: then there is a core.
  }
}
