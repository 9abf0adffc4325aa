// Whatever is stopped, the first command's last sign of life comes before the second one's first.

import { describe, expect, test } from "vitest";
import { HoldHome, isLong, pause } from "../support/hold-cli.js";

const TRIALS = isLong ? 30 : 6;
const AT_A_TIME = 6;
const TTL_MS = 2000;

const WHAT = [
  ["the wrapper alone", { wrapper: true, daemon: false }],
  ["the daemon", { wrapper: false, daemon: true }],
  ["wrapper and daemon", { wrapper: true, daemon: true }],
] as const;

describe.each(WHAT)("when SIGSTOP meets %s", (_name, stops) => {
  test(
    `no two commands live at the same time, in ${String(TRIALS)} trials`,
    { timeout: isLong ? 300_000 : 60_000 },
    async () => {
      let stuck = 0;
      let tried = 0;
      for (let at = 0; at < TRIALS; at += AT_A_TIME) {
        await using home = await HoldHome.make();
        // The second holder has a daemon of its own, so that nothing keeps it waiting but the lock.
        const first = await home.daemon();
        const second = await home.daemon();
        const trials = Array.from({ length: AT_A_TIME }, async (_, index) => {
          const name = `trial-${String(at + index)}`;
          const ttl = `${String(TTL_MS)}ms`;
          const how = { ttl, servers: [first.address] };
          const one = home.hold(name, how, home.beat(`${name}-1`, 60_000));
          const { token } = await home.born(`${name}-1`);
          const two = home.hold(
            name,
            { ...how, servers: [second.address] },
            home.beat(`${name}-2`, 100),
          );
          // On a crowded machine two seconds may pass by themselves: then there is no trial.
          const hasWaited = await two.stderrMatches(/waiting for trial/u).then(
            () => true,
            () => false,
          );
          return { name, one, two, token, hasWaited };
        });
        const begun = await Promise.all(trials);
        // Not all at the same moment of their periods.
        const stopping = begun.map(async ({ one }) => {
          await pause(Math.random() * 700);
          if (stops.wrapper) one.kill("SIGSTOP");
        });
        await pause(Math.random() * 300);
        if (stops.daemon) first.running.kill("SIGSTOP");
        await Promise.all(stopping);
        // A daemon that was stopped within a transaction keeps all others from writing (the
        // guarantees say so): nobody gets anything then, until it goes on.
        const isServed = await Promise.race([
          Promise.all(begun.map(({ two }) => two.ended)).then(() => true),
          pause(TTL_MS + 10_000).then(() => false),
        ]);
        if (!isServed) first.running.kill("SIGCONT");
        stuck += isServed ? 0 : 1;
        for (const { name, two, token, hasWaited } of begun) {
          const { code } = await two.ended;
          expect([0, 76]).toContain(code);
          const before = home.life(`${name}-1`);
          const after = home.life(`${name}-2`);
          if (after === undefined) continue;
          if (hasWaited && code === 0) tried += 1;
          expect(after.firstMs).toBeGreaterThan(before?.lastMs ?? Infinity);
          expect(BigInt(after.token)).toBeGreaterThan(BigInt(token));
        }
        // And whoever wakes up again knows that it has lost.
        first.running.kill("SIGCONT");
        for (const { one } of begun) one.kill("SIGCONT");
        for (const { one, name } of begun) {
          const dead = home.life(`${name}-1`);
          expect((await one.ended).code).toBe(76);
          expect(home.life(`${name}-1`)).toEqual(dead);
        }
      }
      expect(tried).toBeGreaterThan(TRIALS / 2);
      // It is a matter of a millisecond in every second.
      expect(stuck).toBeLessThan(TRIALS / AT_A_TIME / 2 + 1);
    },
  );
});
