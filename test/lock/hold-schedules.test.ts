import { describe, expect, it } from "vitest";
import { holderDeadlineMs } from "../../src/lock/holder/deadline.js";
import {
  playHoldWorld,
  type HoldWorldOptions,
  type HoldWorldReport,
} from "../support/hold-world.js";

/** STORMLOCK_SEED=n replays one world; STORMLOCK_SCHEDULES=n plays more of them. */
const ONE_SEED = process.env["STORMLOCK_SEED"];
const SCHEDULES = Number(process.env["STORMLOCK_SCHEDULES"] ?? 10_000);

type Rule = HoldWorldOptions["deadlineOf"];

async function play(first: number, count: number, deadlineOf?: Rule): Promise<HoldWorldReport> {
  const sum = { grants: 0, losses: 0, resumes: 0 };
  for (let seed = first; seed < first + count; seed++) {
    const report = await playHoldWorld({
      seed,
      ...(deadlineOf === undefined ? {} : { deadlineOf }),
    });
    sum.grants += report.grants;
    sum.losses += report.losses;
    sum.resumes += report.resumes;
  }
  return sum;
}

describe("random schedules of delays, losses, pauses and restarts, two daemons over one store", () => {
  it.skipIf(ONE_SEED === undefined)(`replays seed ${ONE_SEED ?? ""}`, async () => {
    await playHoldWorld({ seed: Number(ONE_SEED) });
  });

  it.skipIf(ONE_SEED !== undefined)(
    `no schedule of ${String(SCHEDULES)} yields two believers`,
    { timeout: 300_000 },
    async () => {
      const { grants, losses, resumes } = await play(1, SCHEDULES);
      // Worlds in which nothing happens would prove nothing.
      expect(grants).toBeGreaterThan(3 * SCHEDULES);
      expect(losses).toBeGreaterThan(SCHEDULES / 4);
      expect(resumes).toBeGreaterThan(3 * SCHEDULES);
    },
  );

  const mistakes: Record<string, NonNullable<Rule>> = {
    "validity counted from the answer": (nowMs) => (_sentAtMs, validForMs, ttlMs) =>
      holderDeadlineMs(nowMs(), validForMs, ttlMs),
    "no allowance for clocks that run at different rates, and no margin":
      () => (sentAtMs, validForMs) =>
        sentAtMs + validForMs,
    "a whole ttl assumed whatever the answer says": () => (sentAtMs, _validForMs, ttlMs) =>
      holderDeadlineMs(sentAtMs, ttlMs, ttlMs),
  };
  for (const [mistake, rule] of Object.entries(mistakes)) {
    it.skipIf(ONE_SEED !== undefined)(
      `a planted mistake is found: ${mistake}`,
      { timeout: 120_000 },
      async () => {
        await expect(play(1, 2000, rule)).rejects.toThrow(/seed \d+.*believed in/u);
      },
    );
  }
});
