// `npm run trials`: is the promise of `stormlock hold` kept? Exit code 1 when it is not.

import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { spawnSync } from "node:child_process";
import { hostMs, interrupt } from "./host.js";
import { playAll } from "./matrix.js";
import { networkFault } from "./network.js";
import { BadOptions, readOptions, USAGE, type Options } from "./options.js";
import { complaintsOf, tableOf, type Judged } from "./report.js";
import { installedPeers, wrapperOf, type Wrapper } from "./wrappers.js";

const RECORDS = resolve("build/trials/records");
const USAGE_CODE = 64;
const INTERRUPTED_CODE = 130;

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options === undefined) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (spawnSync("perl", ["-MPOSIX", "-e", "1"], { stdio: "ignore" }).status !== 0) {
    throw new BadOptions("perl is needed: the commands are written in it");
  }
  const startedMs = hostMs();
  say(`seed ${String(options.seed)}; ${networkFault}`);
  const wrappers = wrappersOf(options);
  const all: Judged[] = [];
  let failed = 0;
  let isUnplayed = false;
  for (const wrapper of wrappers) {
    const isWhole = await playAll(wrapper, options, say, (judged) => {
      all.push(judged);
      const complaints = complaintsOf(judged);
      if (complaints.length === 0) return;
      if (wrapper.isOurs) failed += 1;
      const file = keep(judged);
      for (const complaint of complaints) say(`${complaint} [${file}]`);
    });
    if (isWhole || !wrapper.isOurs) continue;
    say("not all trials were played: the machine was too busy");
    isUnplayed = true;
  }
  if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(all, undefined, 1));
  process.stdout.write(tableOf(all));
  const tookS = ((hostMs() - startedMs) / 1000).toFixed(0);
  say(
    `seed ${String(options.seed)}: ${String(all.length)} trials in ${tookS} s, ${String(failed)} failed`,
  );
  return failed > 0 || isUnplayed || all.length === 0 ? 1 : 0;
}

function wrappersOf({ wrapper, withPeers }: Options): Wrapper[] {
  return [wrapperOf(wrapper), ...(withPeers ? installedPeers() : [])];
}

/** Keeps the record of a trial. @returns where */
function keep(judged: Judged): string {
  mkdirSync(RECORDS, { recursive: true });
  const { seed, trial } = judged.record;
  const file = join(RECORDS, `${String(seed)}-${trial}.json`);
  writeFileSync(file, JSON.stringify(judged, undefined, 1));
  return file;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
try {
  process.exitCode = await main();
} catch (error) {
  if (error instanceof BadOptions) say(`${error.message}\n\n${USAGE}`);
  else if ((error as Error).name === "AbortError") say("interrupted");
  else throw error;
  process.exitCode = error instanceof BadOptions ? USAGE_CODE : INTERRUPTED_CODE;
}
