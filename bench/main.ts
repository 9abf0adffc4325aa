// make bench: how fast it is on this machine, section by section, each figure beside a limit that
// was measured in the same minutes.

import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { stores as allStores } from "../test/support/stores.js";
import { machine, writeIntoPage } from "./page.js";
import type { Run, Section } from "./section.js";
import { command } from "./command/section.js";
import { contention } from "./contention/section.js";
import { growth } from "./growth/section.js";
import { handoff } from "./handoff/section.js";
import { held } from "./held/section.js";
import { overload } from "./overload/section.js";
import { peers } from "./peers/section.js";
import { stream } from "./stream/section.js";
import { unary } from "./unary/section.js";

const SECTIONS: readonly Section[] = [
  ...[unary, peers, stream, held, overload, handoff, contention, growth, command],
];

const HELP = `make bench, or npm run bench -- [OPTION...]
  --quick        one short round of everything: whether it works, not how fast it is
  --only NAME    this section alone; may be given several times
  --store TYPE   this store alone; may be given several times
  --write        put the tables into docs/performance.md
  --json FILE    write all figures there

Sections:
${SECTIONS.map(({ name, what }) => `  ${name.padEnd(12)}   ${what}`).join("\n")}`;

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Those of all that are asked for; all when none are. */
function chosen<T>(
  all: readonly T[],
  names: readonly string[] | undefined,
  nameOf: (one: T) => string,
  kind: string,
): readonly T[] {
  const unknown = names?.filter((name) => !all.some((one) => nameOf(one) === name)) ?? [];
  if (unknown.length > 0) {
    const known = all.map(nameOf).join(", ");
    throw new Error(`there is no ${kind} ${unknown.join(", ")}; there are ${known}`);
  }
  return all.filter((one) => names?.includes(nameOf(one)) ?? true);
}

async function run(): Promise<void> {
  const sections = chosen(SECTIONS, values.only, ({ name }) => name, "section");
  const wanted = chosen(allStores, values.store, ({ type }) => type, "store");
  for (const { type, missing } of wanted) {
    if (missing !== undefined) say(`without ${type}: ${missing}`);
  }
  const how: Run = {
    isQuick: values.quick,
    stores: wanted.filter(({ missing }) => missing === undefined),
    tell: say,
    // Built beside this file.
    program: (name) => fileURLToPath(new URL(`./${name}.js`, import.meta.url)),
  };
  process.stdout.write(`${machine()}\n`);
  const figures: Record<string, unknown> = {};
  for (const section of sections) {
    const tell = (text: string): void => {
      say(`${section.name}: ${text}`);
    };
    const measured = await section.measure({ ...how, tell });
    figures[section.name] = measured.figures;
    process.stdout.write(`\n## ${section.name}: ${section.what}\n\n${measured.markdown}\n`);
    // At once: what is measured is not lost when a later section fails.
    if (values.write) await writeIntoPage(section.name, measured);
    if (values.json !== undefined) await writeFile(values.json, JSON.stringify(figures, null, 2));
  }
}

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", multiple: true },
    store: { type: "string", multiple: true },
    write: { type: "boolean", default: false },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

if (values.help) process.stdout.write(`${HELP}\n`);
else await run();
