// Very many leases that are held and nothing else: what keeping them costs.

import { runProgram } from "../run-program.js";
import type { Run, Section } from "../section.js";
import { table, whole } from "../markdown.js";
import { startDaemon } from "../servers.js";
import { usageOf } from "../usage.js";
import type { HeldOrder, HeldReport } from "./programs/load.js";

const STORE = "sqlite";
const WITHIN_MS = 150_000;

interface Scene {
  readonly streams: number;
  readonly leases: number;
}

const SCENES: readonly Scene[] = [
  { streams: 10, leases: 1000 },
  { streams: 10_000, leases: 1 },
  { streams: 100, leases: 1000 },
  { streams: 100_000, leases: 1 },
];
const QUICK_SCENES: readonly Scene[] = [{ streams: 10, leases: 100 }];

interface Row extends Scene, HeldReport {
  /** The daemon's memory before there were any. */
  readonly emptyBytes: number;
}

export const held: Section = {
  name: "held",
  what: "10 k and 100 k leases that are held, over SQLite",
  async measure(run) {
    const figures: Row[] = [];
    const failures: string[] = [];
    for (const scene of run.isQuick ? QUICK_SCENES : SCENES) {
      try {
        figures.push(await play(scene, run));
      } catch (error) {
        // The largest may be too much for a small machine: the others still say what they say.
        const why = error instanceof Error ? error.message : String(error);
        run.tell(`${titleOf(scene)}: ${why}`);
        failures.push(`${titleOf(scene)} could not be measured on this machine.`);
      }
    }
    return { markdown: [tableOf(figures), ...failures].join("\n\n"), figures };
  },
};

async function play(
  { streams, leases }: Scene,
  { isQuick, stores, tell, program }: Run,
): Promise<Row> {
  const kind = stores.find(({ type }) => type === STORE);
  if (kind === undefined) throw new Error(`this section is played on ${STORE}: choose it, too`);
  tell(titleOf({ streams, leases }));
  // A daemon of its own, so that its memory is that of these leases.
  await using daemon = await startDaemon(kind);
  const { address, pid, store } = daemon;
  const { rssBytes: emptyBytes } = await usageOf(pid);
  const length = isQuick ? { ttlMs: 3000, windowMs: 2000 } : { ttlMs: 30_000, windowMs: 15_000 };
  const order: HeldOrder = {
    ...{ address, pid, store: store?.settings["path"] ?? "", streams, leases, ...length },
  };
  const path = program("held/programs/load");
  const report = await runProgram<HeldReport>(path, order, WITHIN_MS);
  return { streams, leases, emptyBytes, ...report };
}

function titleOf({ streams, leases }: Scene): string {
  return `${whole(streams)} × ${whole(leases)}`;
}

function tableOf(rows: readonly Row[]): string {
  const head = [
    "streams × leases",
    "daemon's memory, MB",
    "of one core",
    "renewals/s",
    "transactions/s",
    "ack p50 ms",
    "ack p99 ms",
    "late",
    "lost",
  ];
  return table(
    head,
    rows.map((row) => [
      titleOf(row),
      `${whole(row.rssBytes / 2 ** 20)} (empty ${whole(row.emptyBytes / 2 ** 20)})`,
      `${((100 * row.cpuMs) / row.windowMs).toFixed(1)} %`,
      whole((row.renewals * 1000) / row.windowMs),
      ((row.transactions * 1000) / row.windowMs).toFixed(1),
      row.ackP50Ms.toFixed(1),
      row.ackP99Ms.toFixed(1),
      whole(row.behind + row.unanswered),
      whole(row.lost),
    ]),
  );
}
