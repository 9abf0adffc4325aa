// make bench: what the daemon can do over each store, beside what gRPC and the store by
// themselves can do on the same machine in the same minutes.

import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { stores } from "../test/support/stores.js";
import { startDaemon, startFloor, type Contender } from "./contenders.js";
import { tables, writeInto } from "./report.js";
import { playRounds } from "./rounds.js";

const HELP = `make bench, or npm run bench -- [OPTION...]
  --quick        one short round: whether it works, not how fast it is
  --store TYPE   this store alone; may be given several times
  --write        put the tables into docs/performance.md
  --json FILE    write all figures there`;

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    store: { type: "string", multiple: true },
    write: { type: "boolean", default: false },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

// Built beside this file.
const beside = (name: string): string => fileURLToPath(new URL(`./${name}.js`, import.meta.url));

async function run(): Promise<void> {
  const wanted = values.store ?? stores.map(({ type }) => type);
  const unknown = wanted.filter((name) => !stores.some(({ type }) => type === name));
  if (unknown.length > 0) throw new Error(`there is no store ${unknown.join(", ")}`);

  const contenders: Contender[] = [];
  try {
    contenders.push(await startFloor(beside("floor")));
    for (const kind of stores) {
      if (!wanted.includes(kind.type)) continue;
      if (kind.missing === undefined) contenders.push(await startDaemon(kind));
      else say(`without ${kind.type}: ${kind.missing}`);
    }
    await measure(contenders);
  } finally {
    for (const contender of contenders.reverse()) await contender[Symbol.asyncDispose]();
  }
}

async function measure(contenders: readonly Contender[]): Promise<void> {
  const length = values.quick
    ? { rounds: 1, ms: 700, warmUpMs: 300 }
    : { rounds: 3, ms: 3000, warmUpMs: 1000 };
  const programs = { load: beside("load"), limit: beside("limit") };
  const plan = { inFlight: [1, 8, 64], programs, ...length };
  const results = await playRounds(contenders, plan, say);
  const text = tables(results);
  process.stdout.write(`${text}\n`);
  if (values.json !== undefined) await writeFile(values.json, JSON.stringify(results, null, 2));
  if (values.write) await writeInto("docs/performance.md", text);
}

if (values.help) process.stdout.write(`${HELP}\n`);
else await run();
