// From one holder to the next: how long a lock is nobody's, and whether those who wait are served
// in the order in which they came.

import { figure, type Figure } from "../figures.js";
import { ratio, spread, table } from "../markdown.js";
import { runProgram } from "../run-program.js";
import type { Run, Section } from "../section.js";
import { startDaemon, startFloor, type Contender } from "../servers.js";
import type { FsyncOrder, FsyncReport } from "./programs/fsync.js";
import type { HandoffOrder, HandoffReport } from "./programs/load.js";

interface Scene {
  readonly title: string;
  readonly by: "unary" | "hold";
  readonly waiters: number;
  /** Long enough that the only other one has queued again. */
  readonly holdMs: number;
  /** Over which stores; all when left out. */
  readonly stores?: readonly string[];
}

const SCENES: readonly Scene[] = [
  { title: "1 waits, by calls", by: "unary", waiters: 1, holdMs: 5 },
  { title: "500 wait, by calls", by: "unary", waiters: 500, holdMs: 0 },
  { title: "1 waits, on Hold streams", by: "hold", waiters: 1, holdMs: 5, stores: ["sqlite"] },
  { title: "500 wait, on Hold streams", by: "hold", waiters: 500, holdMs: 0, stores: ["sqlite"] },
];

const FLOOR = "floor";
/** etcd's own lock service, on the etcd that is under the daemon. */
const PEER = "etcd's lock";
/** Its emulator writes 30 to 90 times a second, which says nothing of the service. */
const WITHOUT: readonly string[] = ["dynamodb"];

interface Row {
  readonly scene: string;
  readonly contender: string;
  readonly p50Ms: Figure;
  readonly p99Ms: Figure;
  readonly handoffs: number;
  readonly inversions: number;
}

interface Figures {
  /** What it takes to make a page durable, in the same rounds. */
  readonly fsyncMs: Figure;
  readonly rows: readonly Row[];
}

export const handoff: Section = {
  name: "handoff",
  what: "from a release to the grant at the next one who waits",
  async measure(run) {
    const contenders: Contender[] = [];
    try {
      contenders.push(await startFloor(run.program("unary/programs/floor")));
      for (const kind of run.stores) {
        if (!WITHOUT.includes(kind.type)) contenders.push(await startDaemon(kind));
      }
      const figures = await playRounds(contenders, run);
      return { markdown: markdownOf(figures), figures };
    } finally {
      for (const contender of contenders.reverse()) await contender[Symbol.asyncDispose]();
    }
  },
};

async function playRounds(contenders: readonly Contender[], run: Run): Promise<Figures> {
  const rounds = run.isQuick ? 1 : 3;
  const length = run.isQuick ? { ms: 500, warmUpMs: 400 } : { ms: 1000, warmUpMs: 500 };
  const seen = new Map<string, HandoffReport[]>();
  const fsyncsMs: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const scene of SCENES) {
      const { title, waiters, holdMs } = scene;
      run.tell(`round ${String(round)} of ${String(rounds)}, ${title}`);
      fsyncsMs.push((await fsync(run)).p50Ms);
      for (const { name, address, by: how } of entrants(contenders, scene)) {
        const order: HandoffOrder = { address, by: how, waiters, holdMs, ...length };
        const report = await runProgram<HandoffReport>(
          run.program("handoff/programs/load"),
          order,
          10 * length.ms + 10_000,
        );
        const key = `${title}, ${name}`;
        seen.set(key, [...(seen.get(key) ?? []), report]);
      }
    }
  }
  const rows = SCENES.flatMap((scene) =>
    entrants(contenders, scene).map(({ name }) =>
      rowOf(scene.title, name, seen.get(`${scene.title}, ${name}`) ?? []),
    ),
  );
  return { fsyncMs: figure(fsyncsMs), rows };
}

interface Entrant {
  readonly name: string;
  readonly address: string;
  readonly by: HandoffOrder["by"];
}

function entrants(
  contenders: readonly Contender[],
  { by, waiters, stores }: Scene,
): readonly Entrant[] {
  return contenders.flatMap(({ name, address, store }): Entrant[] => {
    if (stores?.includes(name) === false && name !== FLOOR) return [];
    const own: Entrant = { name, address, by };
    // What waits there is not soon forgotten when its caller has gone: 500 would burden what follows.
    if (store?.type !== "etcd" || waiters > 1) return [own];
    const peer = `${store.settings["host"] ?? ""}:${store.settings["port"] ?? ""}`;
    return [own, { name: PEER, address: peer, by: "etcd" }];
  });
}

function fsync({ program, isQuick }: Run): Promise<FsyncReport> {
  const order: FsyncOrder = { times: isQuick ? 20 : 100 };
  return runProgram<FsyncReport>(program("handoff/programs/fsync"), order, 30_000);
}

function rowOf(scene: string, contender: string, reports: readonly HandoffReport[]): Row {
  const sum = (read: (one: HandoffReport) => number): number =>
    reports.reduce((total, one) => total + read(one), 0);
  return {
    ...{ scene, contender },
    p50Ms: figure(reports.map(({ p50Ms }) => p50Ms)),
    p99Ms: figure(reports.map(({ p99Ms }) => p99Ms)),
    handoffs: sum(({ handoffs }) => handoffs),
    inversions: sum(({ inversions }) => inversions),
  };
}

function markdownOf({ fsyncMs, rows }: Figures): string {
  const ms = (value: number): string => value.toFixed(2);
  return [
    `One fsync of a page took ${spread(fsyncMs, ms)} ms.`,
    ...SCENES.map(({ title }) => {
      const own = rows.filter(({ scene }) => scene === title);
      const floor = own.find(({ contender }) => contender === FLOOR)?.p50Ms.median ?? NaN;
      const limit = floor + fsyncMs.median;
      const head = ["", "p50 ms", "of floor + fsync", "p99 ms", "hand-offs", "out of order"];
      return `### ${title}\n\n${table(
        head,
        own.map(({ contender, p50Ms, p99Ms, handoffs, inversions }) => [
          contender,
          spread(p50Ms, ms),
          contender === FLOOR ? "-" : ratio(p50Ms.median / limit),
          p99Ms.median.toFixed(1),
          String(handoffs),
          contender === PEER ? "-" : String(inversions),
        ]),
      )}`;
    }),
  ].join("\n\n");
}
