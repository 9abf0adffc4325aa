// What a lock that very many want costs its store, when they come through several daemons.

import { ratio, table, whole } from "../markdown.js";
import { runProgram } from "../run-program.js";
import type { Run, Section } from "../section.js";
import { startDaemons } from "../servers.js";
import type { StoreKind } from "../../test/support/stores.js";
import type { ContentionOrder, ContentionReport } from "./programs/load.js";

const DAEMONS = 3;
const WAITERS = 1000;
/** Those that count what reaches them. */
const STORES: readonly string[] = ["redis", "postgresql", "etcd"];
const WITHIN_MS = 60_000;

interface Row extends ContentionReport {
  readonly type: string;
  readonly ms: number;
}

export const contention: Section = {
  name: "contention",
  what: `${String(WAITERS)} who want one lock, through ${String(DAEMONS)} daemons`,
  async measure(run) {
    const figures: Row[] = [];
    for (const kind of run.stores) {
      if (STORES.includes(kind.type)) figures.push(await play(kind, run));
    }
    return { markdown: tableOf(figures), figures };
  },
};

async function play(kind: StoreKind, { isQuick, tell, program }: Run): Promise<Row> {
  tell(kind.type);
  await using daemons = await startDaemons(kind, DAEMONS);
  const { type, settings = {} } = daemons.all[0]?.store ?? { type: kind.type };
  const length = isQuick ? { ms: 500, warmUpMs: 500 } : { ms: 4000, warmUpMs: 2000 };
  const order: ContentionOrder = {
    ...{ addresses: daemons.all.map(({ address }) => address), waiters: WAITERS },
    ...{ store: { type, settings }, ...length },
  };
  const path = program("contention/programs/load");
  const report = await runProgram<ContentionReport>(path, order, WITHIN_MS);
  return { type, ms: length.ms, ...report };
}

function tableOf(rows: readonly Row[]): string {
  return table(
    [
      "",
      "grants",
      "operations of the store a grant",
      "the same for each daemon",
      "grants by daemon",
    ],
    rows.map(({ type, grants, operations }) => {
      const sum = grants.reduce((total, count) => total + count, 0);
      return [
        type,
        whole(sum),
        ratio(operations / sum),
        ratio(operations / sum / DAEMONS),
        grants.map(whole).join(", "),
      ];
    }),
  );
}
