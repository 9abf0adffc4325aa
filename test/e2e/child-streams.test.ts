import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HoldBench, pause, until } from "../support/hold-bench.js";

const BYTES = 50 * 1024 * 1024;

let bench: HoldBench;
beforeAll(async () => {
  bench = await HoldBench.open();
});
afterAll(async () => {
  await bench[Symbol.asyncDispose]();
});

function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
}

describe.concurrent("the command's streams are those of the wrapper", () => {
  test("50 MB pass through a pipeline untouched", async () => {
    writeFileSync(bench.path("in"), randomBytes(BYTES));
    const hold = quoted(bench.words("inside", { says: true }, ["cat"]));
    const pipeline = `cat ${bench.path("in")} | ${hold} 2>&1 >${bench.path("copied")} | cat >&2`;
    const run = bench.start("pipeline", {}, ["bash", "-c", pipeline]);
    expect(await run.exit).toBe(0);
    expect(readFileSync(bench.path("copied")).equals(readFileSync(bench.path("in")))).toBe(true);
  });

  test("no pipe becomes non-blocking, though the wrapper has said something", async () => {
    // The flags of a pipe are those of all who share it.
    const flags = "for fd in 0 1 2; do grep flags /proc/self/fdinfo/$fd >> $OUT; done";
    const hold = quoted(
      bench.words("flagged", { says: true }, ["sh", "-c", `sleep 0.5; ${flags}`]),
    );
    const script = `(${hold}; ${flags}) 2>&1`;
    const run = bench.start("flags", {}, ["sh", "-c", `sleep 1 | (${script}) | cat`]);
    expect(await run.exit).toBe(0);
    expect(run.stdout).toContain("stormlock: ");
    expect(run.output).toHaveLength(6);
    for (const line of run.output) expect(parseInt(line.split("\t")[1] ?? "", 8) & 0o4000).toBe(0);
  });

  test("stdin stays open until its writer closes it", async () => {
    const run = bench.start("stdin", {}, ["cat"], ["pipe", "pipe", "pipe"]);
    await run.note("started");
    await pause(300);
    run.wrapper.stdin?.write("later\n");
    await until("it comes out", () => run.stdout === "later\n");
    run.wrapper.stdin?.end();
    expect(await run.exit).toBe(0);
  });

  test("what reads them sees their end when the command ends, guardian or not", async () => {
    const hold = quoted(bench.words("short", {}, ["echo", "done"]));
    const run = bench.start("substitution", {}, ["sh", "-c", `x=$(${hold} 2>&1); echo "[$x]"`]);
    expect(await run.exit).toBe(0);
    expect(run.stdout).toBe("[done]\n");
  });

  test("a command whose reader has gone ends as in any pipeline", async () => {
    const hold = quoted(bench.words("yes", {}, ["yes"]));
    const run = bench.start("broken", {}, [
      "bash",
      "-c",
      `${hold} | head -n 1; echo "\${PIPESTATUS[0]}"`,
    ]);
    expect(await run.exit).toBe(0);
    expect(run.stdout).toBe("y\n141\n");
  });
});
