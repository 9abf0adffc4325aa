// The leader's sidecar, played as a kubelet would: two pods of the Deployment on one node.

import { existsSync, readFileSync } from "node:fs";
import { describe, it, type ExpectStatic } from "vitest";
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

/** Two pods of the recipe. */
class Pair implements AsyncDisposable {
  readonly scene: RecipeScene;
  readonly #pods: readonly PlayPod[];
  readonly #expect: ExpectStatic;

  private constructor(scene: RecipeScene, pods: readonly PlayPod[], expect: ExpectStatic) {
    this.scene = scene;
    this.#pods = pods;
    this.#expect = expect;
  }

  /** @param expect the test's own, since several run at a time */
  static async start(expect: ExpectStatic): Promise<Pair> {
    const scene = await RecipeScene.open("recipes/leader", "Deployment");
    return new Pair(scene, [await scene.pod("a"), await scene.pod("b")], expect);
  }

  /** The pod that leads with a greater token than this, the token, and the other pod. */
  async leadership(above = 0n): Promise<[PlayPod, bigint, PlayPod]> {
    const leading = (): PlayPod | undefined =>
      this.#pods.find((pod) => {
        const token = tokensOf(pod).at(-1) ?? 0n;
        return token > above && workOf(pod, token).length > 0;
      });
    await this.#expect.poll(leading, SOON).toBeDefined();
    const leader = leading();
    const other = this.#pods.find((pod) => pod !== leader);
    if (leader === undefined || other === undefined) throw new Error("nobody leads");
    return [leader, tokensOf(leader).at(-1) ?? 0n, other];
  }

  /** Whoever followed began to work when the one before had stopped. */
  expectNoOverlap(before: PlayPod, token: bigint, after: PlayPod, next: bigint): void {
    const last = Math.max(...workOf(before, token));
    const first = Math.min(...workOf(after, next));
    this.#expect(first).toBeGreaterThan(last);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.scene[Symbol.asyncDispose]();
  }
}

// Each has a node of its own, and mostly waits.
describe(`two pods with the leader's sidecar${needs}`, { concurrent: true }, () => {
  test(
    "have one leader, with its token in its file; it is deleted, and the other one follows",
    async ({ expect }) => {
      await using pair = await Pair.start(expect);
      const [leader, token, other] = await pair.leadership();
      expect(readFileSync(leader.file("lock", "token"), "utf8")).toBe(`${String(token)}\n`);
      expect(filesOf(leader)).toEqual([true, true]);
      expect(filesOf(other)).toEqual([false, false]);
      await expect.poll(() => other.linesOf("lock").join("\n"), SOON).toContain("you are 1st");
      expect(tokensOf(other)).toEqual([]);
      const shown = await pair.scene.ask("current", "example/leader");
      expect(shown.stdout).toContain(`Principal: ${leader.name}\n`);
      expect(shown.stdout).toContain(`Token: ${String(token)}\n`);

      await leader.delete();
      expect(filesOf(leader)).toEqual([false, false]);
      const own = pair.scene.node.events.filter((event) => event.startsWith(`${leader.name}/`));
      expect(own).toEqual(
        ["lock started", "main started", "main ended 0", "lock ended 0"].map(
          (event) => `${leader.name}/${event}`,
        ),
      );
      const [follower, next] = await pair.leadership(token);
      expect(follower).toBe(other);
      pair.expectNoOverlap(leader, token, follower, next);
    },
    MADE_WITHIN_MS,
  );

  test(
    "change when the leader's network is cut: it stops before the other one begins",
    async ({ expect }) => {
      await using pair = await Pair.start(expect);
      const [leader, token, other] = await pair.leadership();
      await leader.cutNetwork();
      await expect.poll(() => leader.linesOf("main"), SOON).toContain("leader no more");
      expect(filesOf(leader)).toEqual([false, false]);
      const [follower, next] = await pair.leadership(token);
      expect(follower).toBe(other);
      pair.expectNoOverlap(leader, token, follower, next);
    },
    MADE_WITHIN_MS,
  );

  test(
    "change when the leader's sidecar is killed: its main container stops, and goes on when it leads again",
    async ({ expect }) => {
      await using pair = await Pair.start(expect);
      const [leader, token] = await pair.leadership();
      leader.container("lock").kill("SIGKILL");
      await expect.poll(() => leader.linesOf("main"), SOON).toContain("leader no more");
      const again = `${leader.name}/lock started`;
      await expect
        .poll(() => pair.scene.node.events.filter((event) => event === again).length, SOON)
        .toBe(2);
      const [follower, next] = await pair.leadership(token);
      pair.expectNoOverlap(leader, token, follower, next);
      expect(filesOf(follower)).toEqual([true, true]);
      if (follower !== leader) expect(filesOf(leader)).toEqual([false, false]);
    },
    MADE_WITHIN_MS,
  );
});
