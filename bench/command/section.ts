// What a command costs whoever types it, or runs it in a loop: its start, its question, its end.

import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { stores } from "../../test/support/stores.js";
import { figure, type Figure } from "../figures.js";
import { ratio, spread, table } from "../markdown.js";
import type { Section } from "../section.js";
import { startDaemon } from "../servers.js";
import { endedChildrenCpuMs } from "../usage.js";

const execute = promisify(execFile);

const ROUNDS = 30;
const WITHIN_MS = 20_000;
const RESOURCE = "bench/command";

/** What is run, and what it prints is needed for. */
interface Contender {
  readonly name: string;
  /** For node; gets the id of the lease that the last acquire of this kind took. */
  readonly argv: (leaseId: string) => readonly string[];
  /** Its result is the id of a lease, to be asked about and released under this name. */
  readonly takes?: string;
  readonly leaseOf?: string;
}

export interface Result {
  readonly command: string;
  /** From the fork to the end, in ms. */
  readonly wallMs: Figure;
  /** Of all threads, in ms: the mean, since the kernel tells it in steps of 10 ms. */
  readonly cpuMs: number;
}

export const command: Section = {
  name: "command",
  what: "the command line: what starting, asking and ending cost",
  async measure({ isQuick, tell }) {
    const sqlite = stores.find(({ type }) => type === "sqlite");
    if (sqlite === undefined) throw new Error("the list of stores has lost its embedded one");
    const home = await mkdtemp(join(tmpdir(), "stormlock-bench-"));
    try {
      await using daemon = await startDaemon(sqlite);
      const results = await playRounds(
        [BARE, VERSION, ...asking("daemon", ["--server", daemon.address]), ...asking("here", [])],
        { home, rounds: isQuick ? 2 : ROUNDS, tell },
      );
      return { markdown: tableOf(results), figures: results };
    } finally {
      await rm(home, { recursive: true, force: true, maxRetries: 3 });
    }
  },
};

const BARE: Contender = { name: "`node -e 0`", argv: () => ["-e", "0"] };
const VERSION: Contender = { name: "`--version`", argv: () => stormlock("--version") };

const WHERE = { daemon: "with a daemon", here: "in this process" };

function asking(way: keyof typeof WHERE, how: readonly string[]): readonly Contender[] {
  const where = WHERE[way];
  return [
    {
      name: `\`acquire\`, ${where}`,
      argv: () => stormlock("acquire", RESOURCE, "--ttl", "1h", ...how),
      takes: way,
    },
    {
      name: `\`is-held\`, ${where}`,
      argv: (leaseId) => stormlock("is-held", RESOURCE, leaseId, ...how),
      leaseOf: way,
    },
    {
      name: `\`release\`, ${where}`,
      argv: (leaseId) => stormlock("release", RESOURCE, leaseId, ...how),
      leaseOf: way,
    },
  ];
}

function stormlock(...words: readonly string[]): readonly string[] {
  return ["dist/stormlock.cjs", ...words];
}

// One after the other within each round, so that a slower machine hurts all alike.
async function playRounds(
  contenders: readonly Contender[],
  plan: { readonly home: string; readonly rounds: number; readonly tell: (text: string) => void },
): Promise<readonly Result[]> {
  // Nothing of whoever runs this: NODE_EXTRA_CA_CERTS alone would make every Node twice as slow,
  // and all that is compared with it seem the better for it.
  const env = { PATH: process.env["PATH"] ?? "", HOME: plan.home };
  const leases = new Map<string, string>();
  const seen = new Map<string, { wallMs: number; cpuMs: number }[]>();
  // The round before the first fills caches: the system's, and Node's of compiled code.
  for (let round = 0; round <= plan.rounds; round++) {
    if (round % 10 === 1) plan.tell(`round ${String(round)} of ${String(plan.rounds)}`);
    for (const { name, argv, takes, leaseOf = "" } of contenders) {
      const cpuBeforeMs = await endedChildrenCpuMs();
      const startedMs = performance.now();
      const { stdout } = await execute(process.execPath, argv(leases.get(leaseOf) ?? ""), {
        env,
        timeout: WITHIN_MS,
      });
      const wallMs = performance.now() - startedMs;
      const cpuMs = (await endedChildrenCpuMs()) - cpuBeforeMs;
      if (takes !== undefined) leases.set(takes, stdout.trim());
      if (round > 0) seen.set(name, [...(seen.get(name) ?? []), { wallMs, cpuMs }]);
    }
  }
  return Array.from(seen, ([name, samples]) => ({
    command: name,
    wallMs: figure(samples.map(({ wallMs }) => wallMs)),
    cpuMs: samples.reduce((sum, { cpuMs }) => sum + cpuMs, 0) / samples.length,
  }));
}

function tableOf(results: readonly Result[]): string {
  const [bare] = results;
  if (bare === undefined) return "";
  const shown = (ms: number): string => ms.toFixed(0);
  return table(
    ["", "ms", "of a bare Node", "CPU ms", "of a bare Node"],
    results.map(({ command: name, wallMs, cpuMs }) => [
      name,
      spread(wallMs, shown),
      ratio(wallMs.median / bare.wallMs.median),
      shown(cpuMs),
      ratio(cpuMs / bare.cpuMs),
    ]),
  );
}
