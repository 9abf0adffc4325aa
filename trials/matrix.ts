// What is played: every fault on every store, eight trials at a time.

import { FAULTS, SHAPES, withoutLease, type FaultName } from "./faults.js";
import { judge } from "./judge.js";
import type { Options } from "./options.js";
import { randomFrom, type Random } from "./random.js";
import type { Judged } from "./report.js";
import { playRound } from "./round.js";
import { Stage } from "./stage.js";
import type { StoreName } from "./stores.js";
import type { Plan } from "./trial.js";
import type { Wrapper } from "./wrappers.js";

const AT_A_TIME = 8;
const GRACE_SHARE = 1 / 4; // What `stormlock hold` takes when nothing is said.
// So that every moment between two heartbeats, 667 ms apart, is met.
const STRIKES_WITHIN_MS = 1000;
const EARLY_SHARE = 1 / 4;
// Trials that the machine was too busy to play are played again, but not for ever.
const MOST_VOID_SHARE = 1 / 2;

const TRIALS = { embedded: 104, others: 32, quick: SHAPES.length, peers: 16 };

/**
 * Plays what the options ask for with one wrapper, and hands over each trial as it ends.
 * @returns whether each fault had all its trials: a machine may be too busy for that
 */
export async function playAll(
  wrapper: Wrapper,
  options: Options,
  say: (line: string) => void,
  take: (judged: Judged) => void,
): Promise<boolean> {
  let isWhole = true;
  for (const store of storesOf(wrapper, options)) {
    await using stage = await Stage.open(store, wrapper.asksDaemons);
    for (const fault of options.faults.filter((name) => wrapper.faults.includes(name))) {
      const count = countOf(wrapper, store, options);
      isWhole = (await playFault(wrapper, fault, stage, count, options, say, take)) && isWhole;
    }
  }
  return isWhole;
}

function storesOf(wrapper: Wrapper, { stores, isQuick }: Options): readonly StoreName[] {
  if (stores === undefined && isQuick) return wrapper.stores.slice(0, 1);
  return wrapper.stores.filter((name) => stores?.includes(name) ?? true);
}

function countOf(wrapper: Wrapper, store: StoreName, { trials, isQuick }: Options): number {
  if (trials !== undefined) return trials;
  if (isQuick) return TRIALS.quick;
  if (wrapper.name !== "stormlock") return TRIALS.peers;
  return store === "embedded" ? TRIALS.embedded : TRIALS.others;
}

async function playFault(
  wrapper: Wrapper,
  faultName: FaultName,
  stage: Stage,
  count: number,
  { seed }: Options,
  say: (line: string) => void,
  take: (judged: Judged) => void,
): Promise<boolean> {
  const fault = wrapper.hasLease ? FAULTS[faultName] : withoutLease(FAULTS[faultName]);
  const random = randomFrom(seed ^ hashOf(`${wrapper.name} ${stage.storeName} ${faultName}`));
  let played = 0;
  let voids = 0;
  for (let number = 0; played < count && voids <= Math.max(8, count * MOST_VOID_SHARE);) {
    const size = Math.min(AT_A_TIME, count - played);
    const plans = Array.from({ length: size }, (): Plan => {
      number++;
      return {
        ...{ wrapper, faultName, fault, seed },
        ...{ ttlMs: wrapper.ttlMs, graceMs: wrapper.ttlMs * GRACE_SHARE },
        trial: [wrapperName(wrapper), stage.storeName, faultName, String(number)].join("-"),
        shape: SHAPES[number % SHAPES.length] ?? "plain",
        ...momentOf(random, fault.strikes === "wrapper"),
      };
    });
    for (const record of await playRound(plans, stage)) {
      const judged = { record, verdict: judge(record, fault) };
      if (judged.verdict.void === undefined) played++;
      else voids++;
      take(judged);
    }
    say(`${wrapper.name}, ${stage.storeName}, ${faultName}: ${String(played)}/${String(count)}`);
  }
  return played >= count;
}

function momentOf(random: Random, canBeEarly: boolean): Pick<Plan, "strikeAfterMs" | "isEarly"> {
  const strikeAfterMs = random() * STRIKES_WITHIN_MS;
  return { strikeAfterMs, isEarly: random() < EARLY_SHARE && canBeEarly };
}

// The name is part of a file's name.
function wrapperName({ name }: Wrapper): string {
  return name.replaceAll(/[^a-z0-9]+/gu, "_");
}

function hashOf(text: string): number {
  let hash = 0;
  for (const letter of text) hash = Math.imul(hash, 31) + (letter.codePointAt(0) ?? 0);
  return hash >>> 0;
}
