import { beforeAll, describe, expect, it } from "vitest";
import { isCi } from "../../test/support/ci.js";
import { hostMs, pause } from "../../test/support/hold-cli.js";
import { stores } from "../../test/support/stores.js";
import { Cluster, type Held } from "./cluster.js";
import { Crew, missing, prepareCrew } from "./crew.js";
import { Turns } from "./turns.js";

const TTL_MS = 10_000;
const WITHIN_MS = 240_000;
const PREPARED_WITHIN_MS = 600_000;

const KEPT = { programs: { go: 4, python: 2, "python-asyncio": 2 }, locksEach: 25 };
const CONTENDING = { programs: { go: 2, python: 2, "python-asyncio": 2 }, locks: 20 };

function storeOf(type: string) {
  const kind = stores.find((each) => each.type === type);
  if (kind === undefined) throw new Error(`there is no store ${type}`);
  return kind;
}

/** A test over a store, skipped where something is missing; in CI it fails instead. */
function over(type: string, name: string, play: (cluster: Cluster) => Promise<void>): void {
  const lacking = missing ?? storeOf(type).missing;
  const test = lacking === undefined || isCi ? it : it.skip;
  const title = lacking === undefined ? name : `${name} (needs: ${lacking})`;
  test(title, { timeout: WITHIN_MS }, async () => {
    if (lacking !== undefined) throw new Error(lacking);
    await using cluster = await Cluster.start(storeOf(type));
    await play(cluster);
  });
}

describe("a rolling restart of three daemons", () => {
  beforeAll(() => (missing === undefined ? prepareCrew() : undefined), PREPARED_WITHIN_MS);

  over("redis", "under 100 Python and 100 Go holders loses nothing", async (cluster) => {
    const serversOf = (nth: number): readonly string[] => cluster.serversOf(nth);
    await using crew = new Crew(KEPT.programs, serversOf, { everyMs: 200, mostMs: WITHIN_MS });
    const locks = crew.members.flatMap(({ name, actor }) =>
      Array.from({ length: KEPT.locksEach }, (_, n) => ({
        ...{ actor, name, resource: `kept/${name}/${String(n)}` },
      })),
    );
    expect(locks).toHaveLength(200);
    for (const { actor, resource } of locks)
      actor.hold({ resource, ttlMs: TTL_MS, waitMs: TTL_MS });
    const holders = await Promise.all(
      locks.map(async ({ actor, name, resource }) => {
        return { resource, principal: name, token: await actor.granted(resource) };
      }),
    );

    // Every lock has its holder and its token in the store, at every look.
    const asItWas = async (): Promise<ReadonlyMap<string, Held>> => {
      const held = await cluster.held("kept/");
      for (const { resource, principal, token } of holders)
        expect(held.get(resource), resource).toMatchObject({ principal, token });
      expect(held.size).toBe(holders.length);
      return held;
    };
    // At the latest when everything had been renewed after a daemon's end nobody is in need of it.
    const leftBeyond = async (ms: number): Promise<void> => {
      const endsMs = hostMs() + WITHIN_MS / 4;
      for (;;) {
        const lookedAtMs = hostMs();
        const left = [...(await asItWas()).values()].map(({ remainingMs }) => remainingMs);
        if (lookedAtMs + Math.min(...left) > ms) return;
        if (hostMs() > endsMs) throw new Error("the leases are not renewed");
        await pause(100);
      }
    };
    for (const signal of ["SIGTERM", "SIGKILL"] as const)
      await cluster.roll(signal, (endedMs) => leftBeyond(endedMs + TTL_MS / 2));
    await leftBeyond(hostMs() + TTL_MS);

    await Promise.all(locks.map(({ actor, resource }) => actor.stillHolds(resource)));
    for (const [at, { actor, resource }] of locks.entries()) {
      expect(actor.told(resource)).toMatchObject({ isLost: false, token: holders[at]?.token });
      actor.release(resource);
    }
    for (const { actor, resource } of locks)
      await actor.until(resource, "it is released", ({ isReleased }) => isReleased);
    expect([...(await cluster.held("kept/")).keys()]).toEqual([]);
    expect(locks.filter(({ actor, resource }) => actor.told(resource).isLost)).toEqual([]);
  });

  over(
    "postgresql",
    "under Python and Go holders that want the same locks gives each its turn, one at a time",
    async (cluster) => {
      const serversOf = (nth: number): readonly string[] => cluster.serversOf(nth);
      await using crew = new Crew(CONTENDING.programs, serversOf, { mostMs: WITHIN_MS });
      const resources = Array.from({ length: CONTENDING.locks }, (_, n) => `turns/${String(n)}`);
      const turns = new Turns(crew, resources, TTL_MS);
      await turns.wholeRound();
      for (const signal of ["SIGTERM", "SIGKILL"] as const)
        await cluster.roll(signal, () => turns.wholeRound());
      await turns.end();
      turns.check();
      expect([...(await cluster.held("turns/")).keys()]).toEqual([]);
    },
  );
});
