// What others do with the same load on the same machine in the same minutes.

import { figure, type Figure } from "../figures.js";
import { ratio, spread, table } from "../markdown.js";
import { runProgram } from "../run-program.js";
import type { Run, Section } from "../section.js";
import { startDaemon, type Contender } from "../servers.js";
import type { LoadOrder, LoadReport } from "../unary/programs/load.js";
import type { EtcdOrder } from "./programs/etcd.js";
import type { RedisOrder } from "./programs/redis.js";

const LOAD = { inFlight: 64, connections: 8 };
const STORES: ReadonlySet<string> = new Set(["sqlite", "etcd", "redis"]);

interface Peer {
  readonly name: string;
  readonly play: () => Promise<LoadReport>;
}

interface Result {
  readonly name: string;
  readonly pairsPerSecond: Figure;
  readonly p50Ms: Figure;
  readonly p99Ms: Figure;
}

export const peers: Section = {
  name: "peers",
  what: "the same pairs through other lock services",
  async measure(run) {
    const daemons: Contender[] = [];
    try {
      for (const kind of run.stores) {
        if (STORES.has(kind.type)) daemons.push(await startDaemon(kind));
      }
      const figures = await measure(peersOf(daemons, run), run);
      return { markdown: tableOf(figures), figures };
    } finally {
      for (const daemon of daemons.reverse()) await daemon[Symbol.asyncDispose]();
    }
  },
};

// A peer uses the very server that our daemon uses in its turn.
function peersOf(daemons: readonly Contender[], { isQuick, program }: Run): readonly Peer[] {
  const length = isQuick ? { ms: 700, warmUpMs: 300 } : { ms: 2000, warmUpMs: 500 };
  const withinMs = 10 * (length.ms + length.warmUpMs) + 20_000;
  const run = (path: string, order: LoadOrder | EtcdOrder | RedisOrder): Promise<LoadReport> =>
    runProgram<LoadReport>(program(path), order, withinMs);
  return daemons.flatMap(({ name, address, store }): readonly Peer[] => {
    const settings = store?.settings ?? {};
    const ours: Peer = {
      name: `stormlock over ${name}`,
      play: () => run("unary/programs/load", { address, ...LOAD, ...length }),
    };
    if (name === "redis") {
      const order = { url: settings["url"] ?? "", ...LOAD, ...length };
      return [
        ours,
        { name: "Redis, SET NX and a script", play: () => run("peers/programs/redis", order) },
      ];
    }
    if (name !== "etcd") return [ours];
    const at = `${settings["host"] ?? ""}:${settings["port"] ?? ""}`;
    const etcd = (leaseFor: "worker" | "lock"): Peer => ({
      name: `etcd's v3lock, ${LEASES[leaseFor]}`,
      play: () => run("peers/programs/etcd", { address: at, leaseFor, ...LOAD, ...length }),
    });
    return [ours, etcd("worker"), etcd("lock")];
  });
}

const LEASES = { worker: "a lease for each worker", lock: "a fresh lease for each lock" } as const;

async function measure(all: readonly Peer[], { isQuick, tell }: Run): Promise<readonly Result[]> {
  const seen = new Map<string, LoadReport[]>(all.map(({ name }) => [name, []]));
  const rounds = isQuick ? 1 : 3;
  for (let round = 1; round <= rounds; round++) {
    tell(`round ${String(round)} of ${String(rounds)}`);
    for (const { name, play } of all) seen.get(name)?.push(await play());
  }
  return [...seen].map(([name, reports]) => ({
    name,
    pairsPerSecond: figure(reports.map(({ pairsPerSecond }) => pairsPerSecond)),
    p50Ms: figure(reports.map(({ p50Ms }) => p50Ms)),
    p99Ms: figure(reports.map(({ p99Ms }) => p99Ms)),
  }));
}

function tableOf(results: readonly Result[]): string {
  const rateOf = (wanted: string): number =>
    results.find(({ name }) => name === wanted)?.pairsPerSecond.median ?? NaN;
  const [sqlite, etcd] = [rateOf("stormlock over sqlite"), rateOf("stormlock over etcd")];
  return table(
    ["", "pairs/s", "stormlock over etcd is", "over SQLite", "p50 ms", "p99 ms"],
    results.map(({ name, pairsPerSecond, p50Ms, p99Ms }) => [
      name,
      spread(pairsPerSecond),
      times(etcd / pairsPerSecond.median),
      times(sqlite / pairsPerSecond.median),
      p50Ms.median.toFixed(1),
      p99Ms.median.toFixed(1),
    ]),
  );
}

// Not every store is measured each time.
function times(ofIt: number): string {
  return Number.isNaN(ofIt) ? "-" : `${ratio(ofIt)} ×`;
}
