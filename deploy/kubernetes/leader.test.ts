// The leader's sidecar, played as a kubelet would: two pods of the Deployment on one node.

import { existsSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PlayPod } from "./play/pod.js";
import { isSkipped, MADE_WITHIN_MS, needs, RecipeScene } from "./scene.js";

// Ends are waited for, however long a busy machine takes: a lease of 15 s among them.
const SOON = { timeout: 90_000, interval: 100 };
const test = isSkipped ? it.skip : it;

const filesOf = (pod: PlayPod): readonly boolean[] =>
  ["token", "leader"].map((name) => existsSync(pod.file("lock", name)));

/** The tokens with which a pod has led, the newest last. */
const tokensOf = (pod: PlayPod): readonly bigint[] =>
  pod
    .linesOf("main")
    .filter((line) => line.startsWith("leader, token "))
    .map((line) => BigInt(line.replace("leader, token ", "")));

/** When a pod has worked with a token, by the clock that all processes of the machine share. */
const workOf = (pod: PlayPod, token: bigint): readonly number[] =>
  pod
    .linesOf("main")
    .filter((line) => line.endsWith(` token ${String(token)}`) && /^\d/u.test(line))
    .map((line) => Number(line.split(" ")[0]));

describe(`two pods with the leader's sidecar${needs}`, () => {
  let scene: RecipeScene;
  let pods: readonly PlayPod[] = [];
  beforeEach(async () => {
    if (isSkipped) return;
    scene = await RecipeScene.open("recipes/leader", "Deployment");
    pods = [await scene.pod("a"), await scene.pod("b")];
  }, MADE_WITHIN_MS);
  afterEach(async () => {
    if (!isSkipped) await scene[Symbol.asyncDispose]();
  });

  /** The pod that leads with a greater token than this, the token, and the other pod. */
  async function leadership(above = 0n): Promise<[PlayPod, bigint, PlayPod]> {
    const leading = (): PlayPod | undefined =>
      pods.find((pod) => {
        const token = tokensOf(pod).at(-1) ?? 0n;
        return token > above && workOf(pod, token).length > 0;
      });
    await expect.poll(leading, SOON).toBeDefined();
    const leader = leading();
    const other = pods.find((pod) => pod !== leader);
    if (leader === undefined || other === undefined) throw new Error("nobody leads");
    return [leader, tokensOf(leader).at(-1) ?? 0n, other];
  }

  /** Whoever followed began to work when the one before had stopped. */
  function expectNoOverlap(before: PlayPod, token: bigint, after: PlayPod, next: bigint): void {
    const last = Math.max(...workOf(before, token));
    const first = Math.min(...workOf(after, next));
    expect(first).toBeGreaterThan(last);
  }

  test(
    "have one leader, with its token in its file; it is deleted, and the other one follows",
    async () => {
      const [leader, token, other] = await leadership();
      expect(readFileSync(leader.file("lock", "token"), "utf8")).toBe(`${String(token)}\n`);
      expect(filesOf(leader)).toEqual([true, true]);
      expect(filesOf(other)).toEqual([false, false]);
      await expect.poll(() => other.linesOf("lock").join("\n"), SOON).toContain("you are 1st");
      expect(tokensOf(other)).toEqual([]);
      const shown = await scene.ask("current", "example/leader");
      expect(shown.stdout).toContain(`Principal: ${leader.name}\n`);
      expect(shown.stdout).toContain(`Token: ${String(token)}\n`);

      await leader.delete();
      expect(filesOf(leader)).toEqual([false, false]);
      const own = scene.node.events.filter((event) => event.startsWith(`${leader.name}/`));
      expect(own).toEqual(
        ["lock started", "main started", "main ended 0", "lock ended 0"].map(
          (event) => `${leader.name}/${event}`,
        ),
      );
      const [follower, next] = await leadership(token);
      expect(follower).toBe(other);
      expectNoOverlap(leader, token, follower, next);
    },
    MADE_WITHIN_MS,
  );

  test(
    "change when the leader's network is cut: it stops before the other one begins",
    async () => {
      const [leader, token, other] = await leadership();
      await leader.cutNetwork();
      await expect.poll(() => leader.linesOf("main"), SOON).toContain("leader no more");
      expect(filesOf(leader)).toEqual([false, false]);
      const [follower, next] = await leadership(token);
      expect(follower).toBe(other);
      expectNoOverlap(leader, token, follower, next);
    },
    MADE_WITHIN_MS,
  );

  test(
    "change when the leader's sidecar is killed: its main container stops, and goes on when it leads again",
    async () => {
      const [leader, token] = await leadership();
      leader.container("lock").kill("SIGKILL");
      await expect.poll(() => leader.linesOf("main"), SOON).toContain("leader no more");
      const again = `${leader.name}/lock started`;
      await expect
        .poll(() => scene.node.events.filter((event) => event === again).length, SOON)
        .toBe(2);
      const [follower, next] = await leadership(token);
      expectNoOverlap(leader, token, follower, next);
      expect(filesOf(follower)).toEqual([true, true]);
      if (follower !== leader) expect(filesOf(leader)).toEqual([false, false]);
    },
    MADE_WITHIN_MS,
  );
});
