// Somebody who keeps a row, and does not come to an end: that is one lock's trouble, not others'.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { Backend } from "../../../src/lock/backend.js";
import { describeWithPostgresql } from "../../support/servers/postgresql.js";
import { ask, keySql, Stage, take } from "./stage.js";

// Waiting for a lock once would take a second.
const NOT_WAITED_MS = 700;
const FLOOR = `'\\x'::bytea`;

describeWithPostgresql("postgresql, while somebody keeps a row", () => {
  let stage: Stage;
  let backend: Backend;

  beforeAll(async () => {
    stage = await Stage.start();
    backend = await stage.open();
    await backend.check(); // It makes the row of no name.
  });

  afterAll(async () => {
    await backend[Symbol.asyncDispose]();
    await stage[Symbol.asyncDispose]();
  });

  // Both connections are there: to make one takes time on a busy machine.
  beforeEach(async () => {
    await backend.renew([await take(backend, `warm ${String(performance.now())}`)]);
  });

  /** Takes 20 new names one after the other in each of several hands. @returns the longest wait */
  async function takeNewNames(prefix: string): Promise<number> {
    let longestMs = 0;
    await Promise.all(
      Array.from({ length: 20 }, async (_, hand) => {
        for (let n = 0; n < 5; n++) {
          const startedMs = performance.now();
          await take(backend, `${prefix}/${String(hand)}/${String(n)}`);
          longestMs = Math.max(longestMs, performance.now() - startedMs);
          await sleep(100);
        }
      }),
    );
    return longestMs;
  }

  it("that of no name, new names are taken as ever, and a check says that it is locked", async () => {
    await using other = await stage.server.connect();
    await other.query("BEGIN");
    await other.query(`SELECT FROM stormlock_leases WHERE resource = ${FLOOR} FOR UPDATE`);
    const checking = expect(backend.check()).rejects.toThrow(/another session keeps a lock/u);
    expect(await takeNewNames("beside the floor")).toBeLessThan(NOT_WAITED_MS);
    await checking;
    await other.query("ROLLBACK");
    await backend.check();
  });

  it("that he has inserted, only that name waits and is unknown; the others of its batch are granted", async () => {
    await using other = await stage.server.connect();
    await other.query("BEGIN");
    await other.query(
      `INSERT INTO stormlock_leases VALUES (${keySql("stuck")}, '', '', 0, 0, 0, 0, 0, 0, '', '{}')`,
    );
    const names = ["a beside", "stuck", "z beside"];
    const asking = backend.acquire(names.map((name) => ask(name)));
    const asksAgain = (async () => {
      for (let n = 0; n < 4; n++) await backend.acquire([ask("stuck")]).catch(() => undefined);
    })();
    expect(await takeNewNames("beside the stuck one")).toBeLessThan(NOT_WAITED_MS);
    const [before, stuck, after] = await asking;
    expect([before?.kind, after?.kind]).toEqual(["granted", "granted"]);
    expect(stuck?.kind === "failed" && stuck.error.message).toMatch(
      /another session keeps a lock/u,
    );
    await asksAgain;
    await other.query("ROLLBACK");
    await take(backend, "stuck");
  });
});
