import { destination, pino, stdTimeFunctions, type Logger } from "pino";

export type Log = Logger;

export type LogLevel = "error" | "warn" | "info" | "debug";

/** Where lines go; what pino calls a destination. */
export interface LogSink {
  write(line: string): void;
}

/**
 * The daemon's log: one JSON object a line, on stderr unless a sink is given. Written at once,
 * so that the last line before an end is there. Lease ids and secrets have no place in it.
 */
export function openLog(level: LogLevel, sink: LogSink = destination({ fd: 2, sync: true })): Log {
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
