import { pino, stdTimeFunctions, type Logger } from "pino";
import type { Clock } from "../lock/clock.js";
import { LineSink } from "./line-sink.js";

export type Log = Logger;

export type LogLevel = "error" | "warn" | "info" | "debug";

/** Where lines go; what pino calls a destination. */
export interface LogSink {
  write(line: string): void;
}

/**
 * The daemon's log: one JSON object a line. Lease ids and secrets have no place in it.
 */
export function openLog(level: LogLevel, sink: LogSink): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    sink,
  );
}

/** Writes lines to stderr, until the process ends, which waits for them no longer than a moment. */
export function stderrSink(clock: Clock): LogSink {
  // Node sets a pipe to non-blocking when it is first looked at.
  const sink = new LineSink(process.stderr.fd, clock);
  process.once("exit", () => {
    sink.flush();
  });
  return sink;
}
