// What was typed after `stormlock hold`, checked.

import { formatDuration } from "../../../src/lock/duration.js";
import type { Words } from "../command.js";
import { ExitCode } from "../exit-code.js";
import { UsageError } from "../usage-error.js";
import { undecodableArgument } from "./undecodable.js";

/** What is done about a lost lock: the command is ended, or told and left alone. */
export type OnLost = "kill" | "warn";

export interface CommandWork {
  readonly kind: "command";
  readonly command: string;
  readonly args: readonly string[];
  readonly graceMs: number | undefined;
  readonly onLost: OnLost;
}

export interface SidecarWork {
  readonly kind: "sidecar";
  /** Has the tokens while the locks are held. */
  readonly tokenFile: string | undefined;
  /** Is there while the locks are held. */
  readonly readyFile: string | undefined;
  /** Where to answer whether the locks are held. */
  readonly http: string | undefined;
  /** Whether other machines may ask there. */
  readonly isPublic: boolean;
  /** Whether to contend again after a loss. */
  readonly isAgain: boolean;
}

export interface Order {
  /** In the order in which they are taken. */
  readonly resources: readonly string[];
  readonly ttlMs: number | undefined;
  /** Infinity means without limit. */
  readonly waitMs: number;
  readonly reason: string;
  /** The exit code when the locks could not be had. */
  readonly conflictCode: number;
  readonly work: CommandWork | SidecarWork;
}

// The grace where none is given: long enough for a tidy end, and never the most of a ttl.
const LONGEST_GRACE_MS = 10_000;
const GRACE_SHARE = 1 / 4;
const MOST_GRACE_SHARE = 1 / 3;

const OF_SIDECARS = ["token-file", "ready-file", "http", "insecure", "again"] as const;
const OF_COMMANDS = ["grace", "on-lost"] as const;

/**
 * Reads the words of the command line.
 * @throws UsageError
 */
export function orderOf(words: Words): Order {
  const work = words.has("sidecar") ? sidecarOf(words) : commandOf(words);
  const resources = words.all("RESOURCE");
  const twice = resources.find((resource, at) => resources.indexOf(resource) < at);
  if (twice !== undefined) throw new UsageError(`RESOURCE ${JSON.stringify(twice)} is given twice`);
  if (words.has("no-wait") && words.has("wait")) {
    throw new UsageError("--wait and --no-wait exclude each other: give one of them");
  }
  return {
    // Whoever wants the same ones takes them in the same order: nobody waits in a circle.
    resources: [...resources].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
    ttlMs: words.durationMs("ttl"),
    waitMs: words.has("no-wait") ? 0 : (words.durationMs("wait") ?? Infinity),
    reason: words.value("reason") ?? "",
    conflictCode: conflictCodeOf(words),
    work,
  };
}

function commandOf(words: Words): CommandWork {
  for (const name of OF_SIDECARS) {
    if (words.has(name)) throw new UsageError(`--${name} is for --sidecar: give that too`);
  }
  const [command, ...args] = words.rest ?? [];
  if (command === undefined) {
    throw new UsageError(
      "no command is given: stormlock hold RESOURCE -- COMMAND [ARG...], or --sidecar to run none",
    );
  }
  const undecodable = undecodableArgument();
  if (undecodable !== undefined) {
    throw new UsageError(
      `the argument ${JSON.stringify(undecodable)} is no UTF-8, and could not be passed on as it is`,
    );
  }
  const onLost = words.value("on-lost") === "warn" ? "warn" : "kill";
  return { kind: "command", command, args, graceMs: words.durationMs("grace"), onLost };
}

function sidecarOf(words: Words): SidecarWork {
  const [command] = words.rest ?? [];
  if (command !== undefined) {
    throw new UsageError(`--sidecar runs no command: leave ${JSON.stringify(command)} out`);
  }
  for (const name of OF_COMMANDS) {
    if (words.has(name)) throw new UsageError(`--${name} is for a command: --sidecar runs none`);
  }
  const [tokenFile, readyFile] = [words.value("token-file"), words.value("ready-file")];
  if (tokenFile !== undefined && tokenFile === readyFile) {
    throw new UsageError("--token-file and --ready-file name the same file: give two");
  }
  return {
    ...{ kind: "sidecar", tokenFile, readyFile, http: words.value("http") },
    ...{ isPublic: words.has("insecure"), isAgain: words.has("again") },
  };
}

function conflictCodeOf(words: Words): number {
  const text = words.value("conflict-exit-code");
  if (text === undefined) return ExitCode.NOT_ACQUIRED;
  if (/^[0-9]{1,3}$/u.test(text) && Number(text) <= 255) return Number(text);
  throw new UsageError(
    `--conflict-exit-code ${JSON.stringify(text)} is no exit code: give a number from 0 to 255`,
  );
}

/** How long before the deadline a command is asked to end. */
export function graceOf({ graceMs }: CommandWork, ttlMs: number): number {
  return graceMs ?? Math.min(LONGEST_GRACE_MS, ttlMs * GRACE_SHARE);
}

/** @throws UsageError when the grace that was given does not fit the ttl */
export function checkGrace({ work }: Order, ttlMs: number | undefined): void {
  if (work.kind !== "command" || work.graceMs === undefined || ttlMs === undefined) return;
  const mostMs = Math.floor(ttlMs * MOST_GRACE_SHARE);
  if (work.graceMs <= mostMs) return;
  throw new UsageError(
    `--grace ${formatDuration(work.graceMs)} does not fit a ttl of ${formatDuration(ttlMs)}: ` +
      `give ${formatDuration(mostMs)} at the most, or a longer --ttl`,
  );
}
