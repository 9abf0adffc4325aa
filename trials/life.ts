// When a process of a trial's command really lived. Two witnesses: its own stamps, every 5 ms,
// and /proc, looked at every 5 ms by a process that does nothing else. Both prove life at a
// moment; neither can prove more than was.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Whose command: the first holder's or his successor's. */
export type Role = "a" | "b";

/** What /proc has told of a process, in ms on the host's monotonic clock. */
export interface Sighting {
  readonly file: string;
  readonly pid: number;
  readonly startTicks: number;
  readonly lastAliveMs: number;
  /** When it was first found dead; a zombie is dead. Nothing while it lives. */
  readonly goneMs?: number;
}

/** One process, in ms on the host's monotonic clock. */
export interface Life {
  readonly trial: string;
  readonly role: Role;
  /** root, child or grandchild: see command.pl */
  readonly part: string;
  readonly pid: number;
  readonly startTicks: number | undefined;
  readonly token: string;
  /** The first moment at which it certainly lived. */
  readonly firstMs: number;
  /** The last one. */
  readonly lastMs: number;
  /** By then it was dead; nothing when it lives, or nobody has looked. */
  readonly goneMs: number | undefined;
}

const TICK_MS = 10; // USER_HZ is 100 on every Linux.

/** All lives of a folder of stamps, joined with what was seen in /proc. */
export function readLives(
  folder: string,
  sightings: readonly Sighting[],
  suspendedMs: number,
): Life[] {
  const seen = new Map(sightings.map((each) => [each.file, each]));
  return readdirSync(folder).flatMap((file) => {
    const text = readFileSync(join(folder, file), "latin1");
    const life = lifeOf(file, text, seen.get(file), suspendedMs);
    return life === undefined ? [] : [life];
  });
}

/** @returns nothing when the process has not come to writing a stamp */
export function lifeOf(
  file: string,
  text: string,
  seen: Sighting | undefined,
  suspendedMs: number,
): Life | undefined {
  const [trial = "", role, part = "", pid] = file.split(".");
  const [token = "", ...lines] = text.split("\n").slice(0, -1);
  const [first] = lines;
  const last = lines.at(-1);
  if (first === undefined || last === undefined || (role !== "a" && role !== "b")) return undefined;
  // The kernel's word on its birth may be older than its own: loading takes a while.
  const bornMs = seen === undefined ? Infinity : (seen.startTicks + 1) * TICK_MS - suspendedMs;
  const [firstMs, lastMs] = [Number(first) * 1000, Number(last) * 1000];
  return {
    ...{ trial, role, part, pid: Number(pid), startTicks: seen?.startTicks, token },
    firstMs: Math.min(firstMs, bornMs),
    lastMs: Math.max(lastMs, seen?.lastAliveMs ?? 0),
    goneMs: seen?.goneMs,
  };
}
