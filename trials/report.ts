import { FAULTS, type FaultName } from "./faults.js";
import { isFailure, type Record, type Verdict } from "./judge.js";

/** A trial that was played, and what is to be said of it. */
export interface Judged {
  readonly record: Record;
  readonly verdict: Verdict;
}

const HEAD = [
  ...["wrapper", "store", "fault", "trials", "overlaps", "orphans", "wrong exit codes"],
  ...["not served", "margin min", "margin median", "how the holder ended", "remarks"],
];

/** The table: a line for each fault, Markdown. */
export function tableOf(all: readonly Judged[]): string {
  const groups = groupBy(all, ({ record }) =>
    [record.wrapper, record.store, record.fault].join(" "),
  );
  const rows = [...groups.values()].map(rowOf);
  const lines = [HEAD, HEAD.map(() => "---"), ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

function rowOf(group: readonly Judged[]): string[] {
  const [{ record } = { record: undefined }] = group;
  if (record === undefined) return [];
  const count = (holds: (judged: Judged) => boolean): number => group.filter(holds).length;
  const overlaps = group.flatMap(({ verdict }) => verdict.overlapMs ?? []);
  const orphans = group.flatMap(({ verdict }) => verdict.orphanMs ?? []);
  const played = group.filter(({ verdict }) => verdict.void === undefined);
  const margins = played.flatMap(({ verdict }) => verdict.marginMs ?? []).sort((a, b) => a - b);
  return [
    ...[record.wrapper, record.store, titleOf(record.fault)],
    String(played.length),
    worst(overlaps),
    worst(orphans),
    String(played.filter(({ verdict }) => verdict.wrongCodes.length > 0).length),
    String(played.filter(({ verdict }) => !verdict.wasServed).length),
    inMs(margins[0]),
    inMs(margins[Math.floor(margins.length / 2)]),
    endings(played),
    [
      told(
        count(({ verdict }) => !verdict.tokensGrow),
        "with tokens that did not grow",
      ),
      told(
        count((each) => each.record.wasStuck),
        "waited for a stopped daemon's transaction",
      ),
      ...wrongCodes(played),
      told(group.length - played.length, "did not count: the machine was too busy"),
    ]
      .filter((remark) => remark !== "")
      .join("; "),
  ];
}

function titleOf(fault: FaultName): string {
  return FAULTS[fault].title;
}

function told(count: number, what: string): string {
  return count === 0 ? "" : `${String(count)} ${what}`;
}

function worst(delaysMs: readonly number[]): string {
  if (delaysMs.length === 0) return "0";
  return `**${String(delaysMs.length)}**, up to ${inMs(Math.max(...delaysMs))}`;
}

function inMs(ms: number | undefined): string {
  if (ms === undefined) return "–";
  return Math.abs(ms) < 10_000 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function wrongCodes(group: readonly Judged[]): string[] {
  const codes = groupBy(
    group.flatMap(({ verdict }) => verdict.wrongCodes),
    (code) => code,
  );
  return [...codes].map(([code, { length }]) => `${code} ×${String(length)}`);
}

function endings(group: readonly Judged[]): string {
  const ways = groupBy(group, ({ record }) => String(record.a?.way ?? "killed by us"));
  return [...ways].map(([way, { length }]) => `${way} ×${String(length)}`).join(", ");
}

/** What was wrong in one trial, for people; empty when nothing was. */
export function complaintsOf({ record, verdict }: Judged): string[] {
  if (!isFailure(verdict)) return [];
  const { overlapMs, orphanMs, wrongCodes, tokensGrow, wasServed } = verdict;
  return [
    ...(overlapMs === undefined ? [] : [`overlap of ${inMs(overlapMs)} at the least`]),
    ...(orphanMs === undefined ? [] : [`orphan, ${inMs(orphanMs)} after its time`]),
    ...wrongCodes.map((code) => `exit code of the ${code}`),
    ...(tokensGrow ? [] : ["the token did not grow"]),
    ...(wasServed || verdict.void !== undefined ? [] : ["the second wrapper never got the lock"]),
  ].map((what) => `${record.trial} (${record.shape}): ${what}`);
}

function groupBy<T>(all: readonly T[], keyOf: (each: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const each of all) groups.set(keyOf(each), [...(groups.get(keyOf(each)) ?? []), each]);
  return groups;
}
