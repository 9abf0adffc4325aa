// A program under `stormlock hold` in its own container, played as a kubelet would.

import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "vitest";
import { isAlive } from "../../test/support/hold-cli.js";
import type { PlayPod } from "./play/pod.js";
import { isSkipped, MADE_WITHIN_MS, needs, RecipeScene } from "./scene.js";

// Ends are waited for, however long a busy machine takes.
const SOON = { timeout: 90_000, interval: 100 };
const test = isSkipped ? it.skip : it;

const tokensOf = (pod: PlayPod): readonly bigint[] =>
  pod
    .linesOf("main")
    .filter((line) => line.startsWith("working with token "))
    .map((line) => BigInt(line.replace("working with token ", "")));

/** The processes that see the same files as one does: those of its container. */
function processesOf(pid: number): readonly number[] {
  const filesOf = (of: string): string => {
    try {
      return readFileSync(`/proc/${of}/mountinfo`, "utf8");
    } catch {
      return "";
    }
  };
  const own = filesOf(String(pid));
  return readdirSync("/proc")
    .filter((name) => /^\d+$/u.test(name) && filesOf(name) === own)
    .map(Number);
}

const open = (): Promise<RecipeScene> => RecipeScene.open("recipes/wrapper", "Deployment");

// Each has a node of its own, and mostly waits.
describe(`a program under the wrapper${needs}`, { concurrent: true }, () => {
  test(
    "gets the pod's SIGTERM, and the lock is given back when it has ended",
    async ({ expect }) => {
      await using scene = await open();
      const first = await scene.pod("first");
      await expect.poll(() => tokensOf(first), SOON).toHaveLength(1);
      const second = await scene.pod("second");
      await expect.poll(() => second.linesOf("main").join("\n"), SOON).toContain("you are 1st");
      await first.delete();
      expect(first.linesOf("main")).toContain("stopping");
      expect(scene.node.events).toEqual([
        ...["first/stormlock started", "first/stormlock ended 0", "first/main started"],
        ...["second/stormlock started", "second/stormlock ended 0", "second/main started"],
        "first/main ended 0",
      ]);
      await expect.poll(() => tokensOf(second), SOON).toHaveLength(1);
      expect(tokensOf(second)[0]).toBeGreaterThan(tokensOf(first)[0] ?? 0n);
      await second.delete();
      expect(await scene.ask("current", "example/wrapped")).toMatchObject({ code: 1 });
    },
    MADE_WITHIN_MS,
  );

  test(
    "is ended by the guardian when the wrapper is killed, and starts anew with a greater token",
    async ({ expect }) => {
      await using scene = await open();
      const only = await scene.pod("only");
      await expect.poll(() => tokensOf(only), SOON).toHaveLength(1);
      const { pid } = only.container("main");
      const others = processesOf(pid).filter((each) => each !== pid);
      // The program and the guardian, at least.
      expect(others.length).toBeGreaterThanOrEqual(2);
      only.container("main").kill("SIGKILL");
      await expect.poll(() => others.filter(isAlive), SOON).toEqual([]);
      await expect.poll(() => only.linesOf("main"), SOON).toContain("stopping");
      await expect.poll(() => tokensOf(only), SOON).toHaveLength(2);
      const [before = 0n, after = 0n] = tokensOf(only);
      expect(after).toBeGreaterThan(before);
      expect(scene.node.events).toContain("only/main ended 137");
    },
    MADE_WITHIN_MS,
  );
});
