import { pino, stdTimeFunctions, type Logger } from "pino";

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
