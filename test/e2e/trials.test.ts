// The harness of `npm run trials`, as it is run.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { afterAll, describe, expect, test } from "vitest";
import type { Judged } from "../../trials/report.js";

const folder = mkdtempSync(join(tmpdir(), "stormlock-trials-test-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

async function play(name: string, ...argv: readonly string[]) {
  const json = join(folder, `${name}.json`);
  const child = spawn(process.execPath, ["tools/trials.js", "--json", json, ...argv], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let table = "";
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (table += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, table, said, judged: () => JSON.parse(readFileSync(json, "utf8")) as Judged[] };
}

describe("the trials", () => {
  test("find what a lying wrapper does: overlaps, orphans and wrong exit codes", async () => {
    const { code, table, said, judged } = await play(
      "liar",
      ...["--wrapper", "test/support/lying-wrapper.sh", "--fault", "wrapper-kill"],
      ...["--trials", "4", "--seed", "1"],
    );
    expect(said).toContain("seed 1");
    expect(code).toBe(1);
    expect(judged()).toHaveLength(4);
    for (const { record, verdict } of judged()) {
      expect(record.lives.filter(({ role }) => role === "a").length).toBeGreaterThan(0);
      expect(verdict.overlapMs).toBeGreaterThan(0);
      expect(verdict.orphanMs).toBeGreaterThan(0);
      expect(verdict.wrongCodes).toEqual(["second: 0, not 3"]);
      expect(said).toMatch(new RegExp(`${record.trial} .*overlap of .* \\[.*\\.json\\]`, "u"));
    }
    expect(table).toMatch(
      /\| SIGKILL of the wrapper \| 4 \| \*\*4\*\*, up to .* \| \*\*4\*\*, up to/u,
    );
  });

  test("find nothing wrong with ours, whatever its command starts", async () => {
    const { code, table, judged } = await play(
      "ours",
      ...["--fault", "wrapper-kill", "--store", "embedded", "--trials", "4"],
    );
    expect(code).toBe(0);
    const played = judged().filter(({ verdict }) => verdict.void === undefined);
    expect(new Set(played.map(({ record }) => record.shape)).size).toBeGreaterThan(1);
    for (const { record, verdict } of played) {
      expect(record.a?.way).toBe("SIGKILL");
      expect(verdict.marginMs).toBeGreaterThan(0);
    }
    expect(table).toMatch(/\| SIGKILL of the wrapper \| 4 \| 0 \| 0 \| 0 \| 0 \|/u);
  });

  test("say what an option may be", async () => {
    const { code, said } = await play("wrong", "--fault", "rain");
    expect(code).toBe(64);
    expect(said).toContain("--fault rain: give one of wrapper-stop, wrapper-kill");
  });
});
