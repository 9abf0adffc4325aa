import { once } from "node:events";
import type { ChildProcess } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bundleChildren } from "../support/children.js";
import { contradictions, holdings, type Holding } from "./hammer.js";
import { storeFile, take } from "./stage.js";

const SECONDS = process.env["STORMLOCK_LONG"] === "1" ? 30 : 5;
const PROCESSES = 4;

// Few enough that processes meet all the time, and names that sort apart.
const LANES = [
  ["a", "m", "z"],
  ["b", "n", "y"],
  ["c", "o", "x"],
];

describe("several processes on one file, one of them killed every second", () => {
  it(
    "never hold a lock twice, their tokens only grow, and the file stays whole",
    { timeout: (SECONDS + 60) * 1000 },
    async () => {
      await using file = await storeFile();
      await using children = await bundleChildren("hammer");
      let started = 0;
      const start = (): ChildProcess => {
        const log = join(file.directory, `${String(started++)}.log`);
        return children.start("hammer", { path: file.path, log, lanes: LANES });
      };
      const failures: unknown[] = [];
      const running = Array.from({ length: PROCESSES }, start);
      for (let second = 0; second < SECONDS; second++) {
        await new Promise((resolve) => setTimeout(resolve, 1000));
        const victim = Math.floor(Math.random() * PROCESSES);
        const child = running[victim];
        if (child?.exitCode !== null) failures.push(["ended by itself", child?.exitCode]);
        child?.kill("SIGKILL");
        running[victim] = start();
      }
      for (const child of running) {
        const ended = once(child, "exit");
        child.kill("SIGTERM");
        const [code, signal] = (await ended) as [number | null, string | null];
        // One that has only just been started does not listen yet.
        if (code !== 0 && signal !== "SIGTERM") failures.push(["ended with", code, signal]);
      }
      expect(failures).toEqual([]);

      const logs = (await readdir(file.directory)).filter((name) => name.endsWith(".log"));
      const all: Holding[] = [];
      const holders = new Map<string, Set<string>>();
      for (const log of logs) {
        for (const holding of holdings(await readFile(join(file.directory, log), "utf8"))) {
          all.push(holding);
          const known = holders.get(holding.resource) ?? new Set();
          holders.set(holding.resource, known.add(log));
        }
      }
      expect(contradictions(all)).toEqual([]);
      expect(all.length).toBeGreaterThan(SECONDS * 20);
      expect(holders.size).toBe(LANES.flat().length);
      for (const logsOfOne of holders.values()) expect(logsOfOne.size).toBeGreaterThan(1);

      await using backend = await file.open();
      await new Promise((resolve) => setTimeout(resolve, 200)); // Until the last has ended.
      for (const resource of LANES.flat()) {
        const { token } = await take(backend, resource);
        for (const holding of all) {
          if (holding.resource === resource) expect(token).toBeGreaterThan(holding.token);
        }
      }
      const database = await file.raw();
      try {
        expect(database.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
      } finally {
        database.close();
      }
    },
  );
});

describe("the judge of the hammer", () => {
  const held = (token: bigint, fromMs: number, untilMs: number): Holding => ({
    ...{ resource: "a", token, fromMs, untilMs },
  });

  it("finds what must not be, and nothing else", () => {
    expect(contradictions([held(1n, 0, 10), held(2n, 10, 20)])).toEqual([]);
    expect(contradictions([held(1n, 0, 10), { ...held(2n, 5, 20), resource: "b" }])).toEqual([]);
    expect(contradictions([held(1n, 0, 10), held(2n, 9, 20)])).toHaveLength(1);
    expect(contradictions([held(2n, 0, 10), held(1n, 10, 20)])).toHaveLength(1);
    expect(contradictions([held(1n, 0, 10), held(1n, 10, 20)])).toHaveLength(1);
  });
});
