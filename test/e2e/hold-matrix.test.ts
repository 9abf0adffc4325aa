// Every way in which a command can end, under every fate of its lock: the exact exit code.

import { afterAll, beforeAll, describe, test } from "vitest";
import { connect, LockError, type LockClient } from "../../src/index.js";
import { systemClock } from "../../src/system-clock.js";
import { startDaemon, type Daemon } from "../rpc/support/daemon.js";
import type { DaemonProcess } from "../support/cli.js";
import { guardianOf, HoldHome, pause, until, type HoldFlags } from "../support/hold-cli.js";
import { MemoryStore } from "../support/memory-backend.js";
import { Proxy } from "../support/proxy.js";

let home: HoldHome;
let daemon: DaemonProcess;
let refusing: Daemon;
let client: LockClient;
beforeAll(async () => {
  home = await HoldHome.make();
  daemon = await home.daemon();
  // A whole daemon over a store that lets this caller in and gives him nothing.
  const store = new MemoryStore(systemClock).open();
  store.acquire = () => Promise.reject(new LockError("not-allowed", "ann may not take this"));
  refusing = await startDaemon({}, store);
  client = connect({ servers: [daemon.address], principal: "bob" });
  await home.cli.file("no-program", "no program");
});
afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await refusing[Symbol.asyncDispose]();
  await home[Symbol.asyncDispose]();
});

type Ending = "exits 0" | "exits 7" | "dies by SIGKILL" | "is not found" | "is not executable";
type Fate = "held" | "lost" | "timed out" | "taken" | "unreachable" | "refused";

/** How a command ends that way by itself, having said that it ran. */
const COMMANDS: Record<Ending, (ran: string) => string[]> = {
  "exits 0": (ran) => ["sh", "-c", 'touch "$0"; exit 0', ran],
  "exits 7": (ran) => ["sh", "-c", 'touch "$0"; exit 7', ran],
  "dies by SIGKILL": (ran) => ["sh", "-c", 'touch "$0"; kill -KILL $$', ran],
  "is not found": () => ["no-such-command-anywhere"],
  "is not executable": () => ["./no-program"],
};

/** The same, but not before it is asked to end. */
const WHEN_ASKED: Partial<Record<Ending, (ran: string) => string[]>> = {
  "exits 0": (ran) => waiting("exit 0", ran),
  "exits 7": (ran) => waiting("exit 7", ran),
  "dies by SIGKILL": (ran) => waiting("kill -KILL $$", ran),
};

function waiting(then: string, ran: string): string[] {
  return ["bash", "-c", `trap '${then}' TERM; touch "$0"; while :; do sleep 0.02; done`, ran];
}

const MATRIX: Record<Ending, Record<Fate, number>> = {
  "exits 0": { held: 0, lost: 76, "timed out": 75, taken: 75, unreachable: 69, refused: 77 },
  "exits 7": { held: 7, lost: 76, "timed out": 75, taken: 75, unreachable: 69, refused: 77 },
  "dies by SIGKILL": {
    ...{ held: 137, lost: 76, "timed out": 75, taken: 75, unreachable: 69, refused: 77 },
  },
  "is not found": {
    ...{ held: 127, lost: 76, "timed out": 75, taken: 75, unreachable: 69, refused: 77 },
  },
  "is not executable": {
    ...{ held: 126, lost: 76, "timed out": 75, taken: 75, unreachable: 69, refused: 77 },
  },
};

const CELLS = Object.entries(MATRIX).flatMap(([ending, row]) =>
  Object.entries(row).map(([fate, code]) => [ending as Ending, fate as Fate, code] as const),
);

/** Runs a command to its end under a lock with that fate. */
async function meet(
  ending: Ending,
  fate: Fate,
  name: string,
): Promise<{ code: number | NodeJS.Signals; hasRun: boolean }> {
  const ran = home.path(name);
  const command = COMMANDS[ending](ran);
  const run = async (servers: string[], ...flags: string[]): Promise<number | NodeJS.Signals> => {
    const ended = await home.run(name, { servers, ttl: "10s", flags }, command);
    return ended.signal ?? ended.code;
  };
  const done = async (code: Promise<number | NodeJS.Signals>) => ({
    code: await code,
    hasRun: home.has(ran),
  });
  switch (fate) {
    case "held":
      return done(run([daemon.address]));
    case "lost": {
      await using proxy = await Proxy.open(daemon.address);
      const how = { servers: [proxy.address], ttl: "2s" };
      const asked = WHEN_ASKED[ending]?.(ran);
      if (asked === undefined) return await done(loseBeforeStart(name, how, command, proxy));
      const running = home.hold(name, how, asked);
      await until("it runs", () => home.has(ran));
      proxy.freeze();
      return await done(running.ended.then(({ code, signal }) => signal ?? code));
    }
    case "taken":
    case "timed out": {
      const result = await client.hold(name, { ttlMs: 60_000 });
      if (result.kind !== "granted") throw new Error(result.message);
      await using _held = result.hold;
      return await done(run([daemon.address], ...(fate === "taken" ? ["-n"] : ["-w", "300ms"])));
    }
    case "unreachable":
      return done(run(["127.0.0.1:1"]));
    case "refused":
      return done(run([refusing.address]));
  }
}

/**
 * Has the lock lost before a command that cannot run is tried: nothing starts without the guardian,
 * and that is stopped until the deadline has passed.
 */
async function loseBeforeStart(
  name: string,
  how: HoldFlags,
  command: readonly string[],
  proxy: Proxy,
): Promise<number | NodeJS.Signals> {
  const result = await client.hold(name, { ttlMs: 60_000 });
  if (result.kind !== "granted") throw new Error(result.message);
  const running = home.hold(name, how, command);
  await running.stderrMatches(/you are 1st/u);
  const guardian = guardianOf(running.pid);
  process.kill(guardian, "SIGSTOP");
  await result.hold.release();
  while ((await client.current(name)) === undefined) await pause(10);
  await pause(200); // until it knows, too
  proxy.freeze();
  await pause(2000);
  process.kill(guardian, "SIGCONT");
  const { code, signal, stderr } = await running.ended;
  if (!stderr.includes("lost before the command could be started")) throw new Error(stderr);
  return signal ?? code;
}

describe("the exit code", { concurrent: true }, () => {
  test.for(CELLS)("of a command that %s under a lock that is %s: %d", async (cell, { expect }) => {
    const [ending, fate, code] = cell;
    const met = await meet(ending, fate, `${ending} ${fate}`.replaceAll(" ", "-"));
    const canRun = !ending.startsWith("is not") && (fate === "held" || fate === "lost");
    expect(met).toEqual({ code, hasRun: canRun });
  });
});
