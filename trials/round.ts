// Trials of one fault, all at the same time, over one store. What they share is struck once for
// all of them, while each is at another moment of its periods.

import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { suspendedMs, pause, wallToHostMs } from "./host.js";
import type { Record } from "./judge.js";
import { readLives } from "./life.js";
import type { Stage } from "./stage.js";
import { Trial, type Plan } from "./trial.js";
import { Witness } from "./witness-link.js";

const STOPPED_TTLS = 1.5;

/** Plays the trials to their ends. `plans` have one fault and one wrapper. */
export async function playRound(plans: readonly Plan[], stage: Stage): Promise<Record[]> {
  const [plan] = plans;
  if (plan === undefined) return [];
  const lives = mkdtempSync(join(stage.home, "lives-"));
  const aheadMs = await suspendedMs();
  await using witness = new Witness(lives);
  const trials = plans.map((each) => new Trial(each, stage, lives));
  try {
    if (plan.fault.strikes === "wrapper" || plan.fault.strikes === "network") {
      await Promise.all(trials.map(playAlone));
    } else {
      await playTogether(trials, plan, stage);
    }
    const all = readLives(lives, await witness.sightings(), aheadMs);
    const toHostMs = wallToHostMs();
    return trials.map((trial) => {
      const record = trial.record();
      return {
        ...record,
        wallToHostMs: toHostMs,
        lives: all.filter((life) => life.trial === record.trial),
      };
    });
  } finally {
    await Promise.all(trials.map((trial) => trial[Symbol.asyncDispose]()));
    if (plan.wrapper.asksDaemons) await stage.first.ensure();
  }
}

async function playAlone(trial: Trial): Promise<void> {
  if (!(await trial.prepare())) return;
  await trial.strike();
  await trial.served();
  await trial.finish();
}

async function playTogether(trials: readonly Trial[], plan: Plan, stage: Stage): Promise<void> {
  const ready = await Promise.all(
    trials.map(async (trial) => ((await trial.prepare()) ? [trial] : [])),
  );
  const struck = ready.flat();
  await pause(plan.strikeAfterMs);
  const undo = await strikeShared(plan, stage);
  for (const trial of struck) trial.struck();
  const served = await Promise.all(struck.map((trial) => trial.served()));
  await undo();
  await Promise.all(
    struck.map(async (trial, index) => {
      if (served[index] !== true) {
        trial.stuck();
        await trial.served();
      }
      await trial.finish();
    }),
  );
}

/** @returns what takes it back */
async function strikeShared(plan: Plan, { first, store }: Stage): Promise<() => Promise<void>> {
  switch (plan.fault.strikes) {
    case "daemon": {
      const signal = plan.faultName === "daemon-stop" ? "SIGSTOP" : "SIGKILL";
      first.kill(signal);
      return () => {
        first.kill("SIGCONT");
        return Promise.resolve();
      };
    }
    case "store": {
      await store.freeze();
      const goingOn = pause(STOPPED_TTLS * plan.ttlMs).then(() => {
        store.goOn();
      });
      return () => goingOn;
    }
    case "wrapper":
    case "network":
      return () => Promise.resolve();
  }
}
