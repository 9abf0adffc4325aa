// A daemon whose host's wall clock is moved while it works. Only the daemon's: a second one over
// the same store has the right time, and so has everybody who asks.

import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { connect, type AcquireOptions, type Lease, type LockClient } from "../../src/index.js";
import { CliHome, type DaemonProcess, type Running } from "../support/cli.js";
import { stores, titleOf, type Store, type StoreKind } from "../support/stores.js";
import { Holders, nowMs, type Held } from "./holders.js";
import { stagesOf } from "./stages.js";

const HOUR_MS = 3_600_000;
const TTL_MS = 4000;
const HOLDERS = 8;
const AHEAD_FILE = "ahead-ms";
const TEST_MS = 120_000;

// Reads again and again, in every thread, by how much the wall clock is off. Clocks that only go
// forward stay as they are: nobody can move those.
const PRELOAD = `
const { readFileSync } = require("node:fs");
const RealDate = Date;
let aheadMs = 0;
let readAtMs = -Infinity;
const wallMs = () => {
  if (performance.now() - readAtMs > 20) {
    readAtMs = performance.now();
    const was = aheadMs;
    aheadMs = Number(readFileSync(process.env.AHEAD_MS_FILE, "utf8"));
    if (aheadMs !== was) process.stderr.write("ahead by " + aheadMs + " ms\\n");
  }
  return RealDate.now() + aheadMs;
};
globalThis.Date = class Date extends RealDate {
  constructor(...given) {
    super(...(given.length === 0 ? [wallMs()] : given));
  }
  static now() {
    return wallMs();
  }
};
`;

/** Two daemons over one store, the wall clock of the first being moved at will. */
class Stage implements AsyncDisposable {
  readonly moved: string;
  readonly right: string;
  readonly #mover: Running;
  readonly #home: CliHome;
  readonly #store: Store;

  private constructor(home: CliHome, store: Store, moved: DaemonProcess, right: DaemonProcess) {
    this.#home = home;
    this.#store = store;
    this.#mover = moved.running;
    this.moved = moved.address;
    this.right = right.address;
  }

  static async set(kind: StoreKind): Promise<Stage> {
    const store = await kind.start();
    const home = await CliHome.make();
    const config = ["-c", await home.file("store.toml", store.toml)];
    const preload = await home.file("preload.cjs", PRELOAD);
    const file = await home.file(AHEAD_FILE, "0");
    const env = { ...store.env, NODE_OPTIONS: `--require ${preload}`, AHEAD_MS_FILE: file };
    const mostMs = 600_000;
    const moved = await home.daemon(config, { env, mostMs });
    const right = await home.daemon(config, { env: store.env, mostMs });
    return new Stage(home, store, moved, right);
  }

  /** By so much the daemon's wall clock is ahead from now on. */
  async move(aheadMs: number): Promise<void> {
    const said = this.#mover.stderr.length;
    await this.#home.file(AHEAD_FILE, String(aheadMs));
    const untilMs = nowMs() + 20_000;
    while (!this.#mover.stderr.slice(said).includes(`ahead by ${String(aheadMs)} ms`)) {
      if (nowMs() > untilMs) throw new Error("the daemon has not looked at its clock");
      // It looks whenever somebody asks.
      await fetch(`http://${this.moved}/readyz`);
      await pause(20);
    }
  }

  take(prefix: string, ttlMs: number): Promise<Holders> {
    return Holders.take({ address: this.moved, prefix, count: HOLDERS, ttlMs });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#home[Symbol.asyncDispose]();
    await this.#store[Symbol.asyncDispose]();
  }
}

async function granted(locks: LockClient, resource: string, more: AcquireOptions): Promise<Lease> {
  const result = await locks.acquire(resource, { ttlMs: TTL_MS, ...more });
  if (result.kind !== "granted") throw new Error(result.message);
  return result.lease;
}

async function tokensOf(locks: LockClient, prefix: string): Promise<Record<string, bigint>> {
  const tokens: Record<string, bigint> = {};
  for await (const { resource, token } of locks.list(prefix)) tokens[resource] = token;
  return tokens;
}

/** Takes, renews, refuses, releases and lets expire, each through both daemons. */
async function isAllTheSame(moved: LockClient, right: LockClient): Promise<void> {
  // One ends by itself meanwhile, and not before its time.
  const askedAtMs = nowMs();
  const first = await granted(moved, "expires", { principal: "first" });
  const second = granted(right, "expires", { principal: "second", waitMs: 60_000 });

  const mine = await granted(moved, "passed on", { ttlMs: 60_000 });
  expect(await right.acquire("passed on")).toMatchObject({ kind: "held" });
  expect((await right.current("passed on"))?.token).toBe(mine.token);
  for (const locks of [moved, right]) {
    expect(await locks.isHeld("passed on", mine.leaseId)).toBe(true);
    expect(await locks.renew("passed on", mine.leaseId)).toMatchObject({ kind: "renewed" });
  }
  expect(await moved.release("passed on", mine.leaseId)).toBe("released");
  expect(await right.isHeld("passed on", mine.leaseId)).toBe(false);
  const theirs = await granted(right, "passed on", { ttlMs: 60_000 });
  expect(theirs.token).toBeGreaterThan(mine.token);
  expect(await moved.acquire("passed on")).toMatchObject({ kind: "held" });
  expect(await right.release("passed on", theirs.leaseId)).toBe("released");
  const again = await granted(moved, "passed on", { ttlMs: 60_000 });
  expect(again.token).toBeGreaterThan(theirs.token);
  expect(await moved.release("passed on", again.leaseId)).toBe("released");

  const { token, leaseId } = await second;
  expect(nowMs() - askedAtMs).toBeGreaterThan(TTL_MS * 0.99);
  expect(token).toBeGreaterThan(first.token);
  expect(await moved.renew("expires", first.leaseId)).toMatchObject({ kind: "lost" });
  expect(await moved.release("expires", leaseId)).toBe("released");
}

// The embedded store's tokens are the host's wall clock, read in a thread of its own.
async function followsTheWallClock(moved: LockClient, aheadMs: number): Promise<void> {
  const { token } = await granted(moved, `proof/${String(aheadMs)}`, {});
  const tokenAheadMs = Number(token / 1000n) - Date.now();
  expect(Math.abs(tokenAheadMs - aheadMs)).toBeLessThan(60_000);
}

const stageOf = stagesOf((kind) => Stage.set(kind), TEST_MS);

// By how much the wall clock may be wrong. DynamoDB has no clock of its own: there the hosts'
// have to be right within half of max_clock_skew, a second unless configured.
const byMsOf = ({ type }: StoreKind): number => (type === "dynamodb" ? 400 : HOUR_MS);

describe("a daemon's wall clock that is set forth, back, and right again changes nothing", () => {
  for (const kind of stores) {
    const test = kind.missing === undefined ? it.concurrent : it.skip;
    const byMs = byMsOf(kind);
    test(
      `${titleOf(kind)}, by ${byMs === HOUR_MS ? "an hour" : `${String(byMs)} ms`}`,
      async () => {
        const stage = stageOf(kind);
        await using moved = connect({ servers: [stage.moved] });
        await using right = connect({ servers: [stage.right] });
        await using holders = await stage.take("kept/", TTL_MS);
        for (const aheadMs of [byMs, -byMs, 0]) {
          await stage.move(aheadMs);
          await isAllTheSame(moved, right); // For a whole ttl.
          if (kind.type === "sqlite") await followsTheWallClock(moved, aheadMs);
          expect(holders.lost).toEqual([]);
          expect(await tokensOf(moved, "kept/")).toEqual(holders.tokens);
          expect(await tokensOf(right, "kept/")).toEqual(holders.tokens);
        }
      },
      TEST_MS,
    );
  }
});

describe("a daemon's wall clock that is an hour off is refused on DynamoDB", () => {
  const [kind] = stores.filter(({ type }) => type === "dynamodb");
  if (kind === undefined) throw new Error("there is no DynamoDB among the stores");
  const test = kind.missing === undefined ? it : it.skip;

  test.each([
    [HOUR_MS, "ahead of"],
    [-HOUR_MS, "behind"],
  ])(
    `by %i ms: it says so and grants nothing; back in time it has lost nothing: ${titleOf(kind)}`,
    async (aheadMs, way) => {
      const stage = stageOf(kind);
      const prefix = `refused/${way}/`;
      const why = new RegExp(
        `this host's clock is at least (59m|1h).* ${way} that of .*: set it right`,
        "u",
      );
      await using moved = connect({ servers: [stage.moved], patienceMs: 500 });
      await using right = connect({ servers: [stage.right] });
      await using holders = await stage.take(prefix, 3 * TTL_MS);
      const { tokens } = holders;

      await stage.move(aheadMs);
      const readiness = async (): Promise<string> => {
        const answer = await fetch(`http://${stage.moved}/readyz`);
        return `${String(answer.status)} ${await answer.text()}`;
      };
      // An answer is kept for a second.
      await expect.poll(readiness, { timeout: 5000 }).toMatch(why);
      expect(await readiness()).toMatch(/^503 /u);
      const refusal = { kind: "unavailable", message: expect.stringMatching(why) as string };
      await expect(moved.acquire(`${prefix}new`)).rejects.toMatchObject(refusal);
      expect(await right.current(`${prefix}new`)).toBeUndefined();
      await stage.move(0);
      const backAtMs = nowMs();
      const isRenewed = ({ hold }: Held): boolean => hold.deadlineMs > backAtMs + 2.5 * TTL_MS;
      expect(await holders.until(isRenewed, 30_000)).toEqual([]);
      expect(await tokensOf(right, prefix)).toEqual(tokens);
      await expect.poll(readiness, { timeout: 5000 }).toMatch(/^200 /u);

      // Who is held up for longer loses in time, and others take over where the time is right.
      await stage.move(aheadMs);
      try {
        const isLost = ({ lostAtMs }: Held): boolean => lostAtMs !== undefined;
        expect(await holders.until(isLost, 30_000)).toEqual([]);
        for (const [resource, token] of Object.entries(tokens)) {
          const next = await granted(right, resource, { waitMs: 30_000 });
          expect(next.token).toBeGreaterThan(token);
        }
      } finally {
        await stage.move(0);
      }
    },
    TEST_MS,
  );
});
