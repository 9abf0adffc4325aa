// The process around a command: its signals, its warnings, its end.

import { endingOf, run } from "./run.js";

const STOPPING = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

let stoppedBy: NodeJS.Signals | undefined;

// The first signal asks; the next one finds the handlers gone and ends the process at once.
function untilStopped(): AbortSignal {
  const stop = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    stoppedBy = signal;
    for (const each of STOPPING) process.off(each, onSignal);
    stop.abort();
  };
  for (const each of STOPPING) process.on(each, onSignal);
  return stop.signal;
}

// Loaded when somebody asks: most commands never do.
const isTerminal = (fd: number): boolean => process.getBuiltinModule("node:tty").isatty(fd);

/** Runs what was typed, and ends the process. */
export async function runProgram(): Promise<void> {
  // What escapes from a callback is nobody's to catch: one line, and the end.
  process.on("uncaughtException", (thrown) => {
    const { code, message, hint } = endingOf(thrown);
    const stack = (process.env["STORMLOCK_DEBUG"] ?? "") === "" ? hint : thrown.stack;
    process.getBuiltinModule("node:fs").writeSync(2, `stormlock: ${message}\n${stack ?? ""}\n`);
    process.exit(code);
  });

  // Node would print its warnings through process.stderr, whose first use makes a pipe non-blocking
  // that a command under a lock shares. What is deprecated is of no use to whoever runs this.
  process.removeAllListeners("warning");
  process.on("warning", ({ name, message, stack }) => {
    const isDebugging = (process.env["STORMLOCK_DEBUG"] ?? "") !== "";
    if (name === "DeprecationWarning" && !isDebugging) return;
    const text = isDebugging ? (stack ?? message) : `${name}: ${message}`;
    try {
      process.getBuiltinModule("node:fs").writeSync(2, `stormlock: ${text}\n`);
    } catch {
      // Nobody reads it, or not soon enough.
    }
  });

  // Between two attempts nothing else may be open, and Node would take the program for finished.
  setInterval(() => undefined, 2 ** 30);

  const end = await run({
    argv: process.argv.slice(2),
    env: process.env,
    isTerminal,
    untilStopped,
    width: () => (isTerminal(1) ? process.stdout.columns : 80),
  });
  // Whoever waits for this process sees that it was the signal that ended it.
  if (end === "stopped" && stoppedBy !== undefined) process.kill(process.pid, stoppedBy);
  if (typeof end === "string" && end !== "stopped") {
    const { dieBy } = await import("./hold/signals.js");
    dieBy(end);
  } else {
    process.exit(end === "stopped" ? 1 : end);
  }
}
