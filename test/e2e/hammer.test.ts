import { DatabaseSync } from "@photostructure/sqlite";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { CliHome, type Running } from "../support/cli.js";

// STORMLOCK_LONG=1 hammers for the whole half minute.
const FOR_MS = process.env["STORMLOCK_LONG"] === "1" ? 30_000 : 10_000;
const KILL_EVERY_MS = 1000;
const TTL_MS = 1500;
const RESOURCES = ["a", "b"];

interface Holding {
  readonly resource: string;
  readonly token: bigint;
  /** From when on, and until when at the latest, somebody believed in it. */
  readonly fromMs: number;
  untilMs: number;
}

it(
  "two daemons and four commands on one store, one of them killed every second: tokens only grow, never two holders, the store is whole",
  { timeout: 120_000 },
  async () => {
    await using home = await CliHome.make();
    const daemons = [await home.daemon(), await home.daemon()];
    const ports = daemons.map(({ address }) => address);
    const ways = [["--server", ports.join(",")], ["--server", [...ports].reverse().join(",")], []];
    const endsAtMs = performance.now() + FOR_MS;
    const holdings: Holding[] = [];
    const commands = new Set<Running>();
    let kills = 0;

    const run = async (argv: readonly string[]): Promise<string | undefined> => {
      const running = home.start(argv);
      commands.add(running);
      const { code, stdout, stderr } = await running.ended;
      commands.delete(running);
      // Taken by somebody, killed, lost, or nobody there just now: all of these are to be expected.
      if (code === 0) return stdout;
      if (![1, 2, 3, 69, 137].includes(code))
        throw new Error(`${argv.join(" ")}: ${String(code)} ${stderr}`);
      return undefined;
    };

    // Somebody who takes a lock, believes in it for a while, and gives it back or forgets it.
    const worker = async (number: number): Promise<void> => {
      for (let turn = number; performance.now() < endsAtMs; turn++) {
        const way = ways[turn % ways.length] ?? [];
        const resource = RESOURCES[turn % RESOURCES.length] ?? "a";
        const wait = turn % 2 === 0 ? ["--wait", "2s"] : [];
        const askedAtMs = performance.now();
        const taken = await run([
          "acquire",
          resource,
          "--ttl",
          `${String(TTL_MS)}ms`,
          "--json",
          ...wait,
          ...way,
        ]);
        if (taken === undefined) continue;
        const lease = JSON.parse(taken) as { id: string; token: string };
        // Believed from now on, and for as long as the rule allows: with a wait that is less than
        // the ttl from now, so only what began without one is believed in for longer.
        const begunMs = wait.length > 0 ? performance.now() - 1 : askedAtMs;
        const holding: Holding = {
          resource,
          token: BigInt(lease.token),
          fromMs: performance.now(),
          untilMs: Math.min(begunMs + TTL_MS * 0.99 - 100, performance.now() + 300),
        };
        holdings.push(holding);
        await pause(Math.max(0, Math.min(200, holding.untilMs - performance.now() - 50)));
        if (turn % 5 === 4) continue; // forgotten: it must end by itself
        holding.untilMs = Math.min(holding.untilMs, performance.now());
        await run(["release", resource, lease.id, ...way]);
      }
    };

    const killer = async (): Promise<void> => {
      while (performance.now() < endsAtMs) {
        await pause(KILL_EVERY_MS);
        kills += 1;
        const victims = [...commands];
        const victim = kills % 3 === 0 ? undefined : victims[kills % victims.length];
        if (victim !== undefined) {
          victim.kill("SIGKILL");
          continue;
        }
        const which = kills % 2;
        const daemon = daemons[which];
        if (daemon === undefined) continue;
        daemon.running.kill("SIGKILL");
        await daemon.running.ended;
        daemons[which] = await home.daemon(["--listen", ports[which] ?? ""]);
      }
    };

    await Promise.all([killer(), ...[0, 1, 2, 3].map(worker)]);

    expect(kills).toBeGreaterThan(FOR_MS / KILL_EVERY_MS / 2);
    expect(holdings.length).toBeGreaterThan(10);
    for (const resource of RESOURCES) {
      const ofOne = holdings
        .filter((holding) => holding.resource === resource)
        .sort((a, b) => (a.token < b.token ? -1 : 1));
      for (const [index, later] of ofOne.entries()) {
        const earlier = ofOne[index - 1];
        if (earlier === undefined) continue;
        expect(later.token, "a token was given twice").toBeGreaterThan(earlier.token);
        expect(later.fromMs, `${resource}: two holders`).toBeGreaterThan(earlier.untilMs);
      }
    }

    for (const { running } of daemons) {
      running.kill("SIGTERM");
      expect((await running.ended).code).toBe(0);
    }
    const store = new DatabaseSync(join(home.env["XDG_STATE_HOME"] ?? "", "stormlock", "locks.db"));
    expect(store.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
    store.close();
    expect((await home.run(["acquire", "after", "-q"])).code).toBe(0);
  },
);
