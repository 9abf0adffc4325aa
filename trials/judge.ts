import type { Fault, FaultName, Shape } from "./faults.js";
import type { Life } from "./life.js";
import type { Ended, Way } from "./program.js";
import type { StoreName } from "./stores.js";

/** How the second holder's command ends, to see that it is told verbatim. */
export const SUCCESSOR_CODE = 3;

// After this much longer than it may take, whoever still lives is an orphan.
const ORPHAN_SLACK_MS = 1000;
// A token that is no moment of this trial is no moment at all, but e.g. a count.
const PLAUSIBLE_MS = 60_000;

/** One trial as it was, all moments in ms on the host's monotonic clock. */
export interface Record {
  readonly trial: string;
  readonly seed: number;
  readonly wrapper: string;
  readonly store: StoreName;
  readonly fault: FaultName;
  readonly shape: Shape;
  readonly ttlMs: number;
  readonly graceMs: number;
  readonly hasTokens: boolean;
  /** When the fault struck; nothing when it did not come to that. */
  readonly struckMs: number | undefined;
  /** The wrappers' ends; nothing when one had to be killed. */
  readonly a: Ended | undefined;
  readonly b: Ended | undefined;
  /** Nobody could be served until the fault was taken back, see the guarantees. */
  readonly wasStuck: boolean;
  readonly wallToHostMs: number;
  readonly lives: readonly Life[];
  /** What the wrappers said. */
  readonly said: { readonly a: string; readonly b: string };
}

export interface Verdict {
  /** Why this was no trial: the machine was too busy to play it. Overlaps count even then. */
  readonly void: string | undefined;
  /** For how long, at the least, the first command lived on after the lock had gone over. */
  readonly overlapMs: number | undefined;
  /** From the first command's last sign of life until the lock went over. */
  readonly marginMs: number | undefined;
  /** How much later than allowed the last of the first command's processes still lived. */
  readonly orphanMs: number | undefined;
  readonly wrongCodes: readonly string[];
  readonly tokensGrow: boolean;
  readonly wasServed: boolean;
}

/** What is to be said of a trial. */
export function judge(record: Record, fault: Fault): Verdict {
  const { a, b, struckMs, lives } = record;
  const first = lives.filter(({ role }) => role === "a");
  const second = lives.filter(({ role }) => role === "b");
  const lastMs = Math.max(...first.map((life) => life.lastMs));
  const grantedMs = grantOf(record, second);
  const marginMs = first.length > 0 && grantedMs !== undefined ? grantedMs - lastMs : undefined;
  const limitMs = Math.min(
    (a?.atMs ?? Infinity) + record.graceMs + ORPHAN_SLACK_MS,
    fault.cutsRenewals ? (struckMs ?? Infinity) + record.ttlMs + ORPHAN_SLACK_MS : Infinity,
  );
  const isVoid = whyVoid(record, first);
  return {
    void: isVoid,
    marginMs,
    overlapMs: marginMs !== undefined && marginMs <= 0 ? -marginMs : undefined,
    orphanMs: lastMs > limitMs ? lastMs - limitMs : undefined,
    wrongCodes:
      isVoid === undefined
        ? [...wrongCode("first", fault.expected, a), ...wrongCode("second", SUCCESSOR_CODE, b)]
        : [],
    tokensGrow: !record.hasTokens || tokensGrow(first, second),
    wasServed: second.length > 0,
  };
}

/** Whether a verdict is a failure of the wrapper's. */
export function isFailure(verdict: Verdict): boolean {
  if (verdict.overlapMs !== undefined || verdict.orphanMs !== undefined) return true;
  if (!verdict.tokensGrow) return true;
  return verdict.void === undefined && (verdict.wrongCodes.length > 0 || !verdict.wasServed);
}

function whyVoid({ struckMs, a }: Record, first: readonly Life[]): string | undefined {
  if (first.length === 0) return "the first command did not start";
  if (struckMs === undefined) return "the second wrapper did not come to wait";
  if (a !== undefined && a.atMs < struckMs) return "the first wrapper ended before the fault";
  return undefined;
}

/**
 * When the lock went over: the moment in the second holder's token where the store makes
 * tokens of its wall clock, else the first sign of life of its command.
 */
function grantOf(record: Record, second: readonly Life[]): number | undefined {
  const [life] = second;
  if (life === undefined) return undefined;
  const bornMs = Math.min(...second.map(({ firstMs }) => firstMs));
  const toldMs = Number(life.token) / 1000 + record.wallToHostMs;
  return toldMs <= bornMs && bornMs - toldMs < PLAUSIBLE_MS ? toldMs : bornMs;
}

function wrongCode(who: string, expected: Way, end: Ended | undefined): string[] {
  if (end?.way === expected) return [];
  return [`${who}: ${end === undefined ? "no end" : String(end.way)}, not ${String(expected)}`];
}

function tokensGrow(first: readonly Life[], second: readonly Life[]): boolean {
  const [one] = first;
  const [other] = second;
  if (one === undefined || other === undefined) return true;
  return one.token !== "" && other.token !== "" && BigInt(other.token) > BigInt(one.token);
}
