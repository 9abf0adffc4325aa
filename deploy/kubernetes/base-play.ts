// The daemon's own Deployment, played as a cluster would: its controller, its kubelet, its Services
// and a database; under pods that hold locks and pods that wait for them.

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isCi } from "../../test/support/ci.js";
import { BaseScene } from "./base-scene.js";
import type { DatabaseKind, Row } from "./databases/database.js";
import { containersOf, podSpecOf, type Manifest, type PodSpec } from "./play/model.js";
import type { PlayPod } from "./play/pod.js";
import { MADE_WITHIN_MS, manifestsOf, missingPlay } from "./scene.js";

// Ends are waited for, however long a busy machine takes.
const SOON = { timeout: 90_000, interval: 100 };
const ROLLED_WITHIN_MS = 240_000;
const LOOK_EVERY_MS = 250;
// Longer than a new daemon needs to be available: ready after a second, and so for 15 s.
const STUCK_FOR_MS = 22_000;

// Databases tell ends to the second, or as their own clock has it.
const RENEWED_BY_MS = 2000;

const HELD_BY_MANY = 60;

/** Who holds what, in a form to be compared: no lease may be another one, whoever has kept it. */
const identitiesOf = (rows: ReadonlyMap<string, Row>): Record<string, string> =>
  Object.fromEntries([...rows].map(([name, { leaseId, token }]) => [name, `${token} ${leaseId}`]));

/** A pod that holds many locks, by the addresses and as the user that a recipe has. */
function holdersLike(recipe: PodSpec): { spec: PodSpec; manifests: readonly Manifest[] } {
  const servers = containersOf(recipe)
    .flatMap(({ env = [] }) => env)
    .filter(({ name }) => name === "STORMLOCK_SERVER");
  const text = readFileSync(resolve("deploy/kubernetes/play/holders.mjs"), "utf8");
  const app = { name: "app", configMap: { name: "holders" } };
  const spec: PodSpec = {
    ...(recipe.securityContext === undefined ? {} : { securityContext: recipe.securityContext }),
    containers: [
      {
        ...{ name: "main", image: "node", command: ["node", "/app/holders.mjs"], env: servers },
        securityContext: { readOnlyRootFilesystem: true },
        volumeMounts: [{ name: "app", mountPath: "/app", readOnly: true }],
      },
    ],
    volumes: [app],
  };
  const data = { "holders.mjs": text };
  return { spec, manifests: [{ kind: "ConfigMap", metadata: { name: "holders" }, data }] };
}

/** The tokens with which a pod of the leader's recipe has led. */
const ledWith = (pod: PlayPod): readonly string[] =>
  pod.linesOf("main").filter((line) => line.startsWith("leader, token "));

const linesWith = (pod: PlayPod, beginning: string): readonly string[] =>
  pod.linesOf("main").filter((line) => line.startsWith(beginning));

/** The tests of the Deployment over a database of that kind. */
export function playBase(kind: DatabaseKind): void {
  const missing = missingPlay ?? kind.missing;
  const needs = missing === undefined ? "" : ` (needs: ${missing})`;
  describe(`the Deployment over ${kind.title}${needs}`, () => {
    play(kind, missing !== undefined && !isCi);
  });
}

function play(kind: DatabaseKind, isSkipped: boolean): void {
  const test = isSkipped ? it.skip : it;
  let scene: BaseScene;
  let holders: PlayPod;
  let leaders: readonly PlayPod[];
  let wrapped: PlayPod;
  let before: ReadonlyMap<string, Row>;

  beforeAll(async () => {
    if (isSkipped) return;
    scene = await BaseScene.open(kind);
  }, MADE_WITHIN_MS);
  afterAll(async () => {
    if (!isSkipped) await scene[Symbol.asyncDispose]();
  }, MADE_WITHIN_MS);

  /** By the same leases as before. */
  async function expectAllToBeHeld(): Promise<void> {
    const held = identitiesOf(await scene.database.held());
    expect(held, scene.story()).toEqual(identitiesOf(before));
  }

  /** Looks after everything until something is so; at each look everybody holds what he held. */
  async function untilNothingIsLost(
    isOver: () => boolean | Promise<boolean>,
    withinMs: number,
  ): Promise<void> {
    const { deployment } = scene;
    for (const endsMs = performance.now() + withinMs; !(await isOver());) {
      await expectAllToBeHeld();
      // On a machine that is very busy one may say that its database is slow.
      expect(deployment.up, scene.story()).toBeGreaterThanOrEqual(deployment.leastAvailable);
      expect(deployment.ready, scene.story()).toBeGreaterThan(0);
      if (performance.now() > endsMs) throw new Error(scene.story());
      await pause(LOOK_EVERY_MS);
    }
  }

  /** And nobody lives on what a daemon has kept that is gone. */
  async function expectAllToGoOn(): Promise<void> {
    const { database } = scene;
    const at = await database.endsMs();
    const areRenewed = async (): Promise<boolean> => {
      const now = await database.endsMs();
      return [...at].every(([name, endsMs]) => (now.get(name) ?? 0) > endsMs + RENEWED_BY_MS);
    };
    await untilNothingIsLost(areRenewed, SOON.timeout);
    await expectAllToBeHeld();
    expect(linesWith(holders, "lost")).toEqual([]);
    expect(leaders.flatMap(ledWith)).toHaveLength(1);
    expect(leaders.flatMap((pod) => linesWith(pod, "leader no more"))).toEqual([]);
    expect(linesWith(wrapped, "working with token ")).toHaveLength(1);
  }

  test(
    "comes up, and serves pods that ask it by the names of its Services",
    async () => {
      await expect.poll(() => scene.deployment.ready, SOON).toBe(3);
      const leader = await manifestsOf("recipes/leader");
      const wrapper = await manifestsOf("recipes/wrapper");
      const leaderSpec = podSpecOf(leader, "Deployment");
      const many = holdersLike(leaderSpec);
      holders = await scene.pod("holders", many.spec, many.manifests);
      leaders = [
        await scene.pod("leader-a", leaderSpec, leader),
        await scene.pod("leader-b", leaderSpec, leader),
      ];
      wrapped = await scene.pod("wrapped", podSpecOf(wrapper, "Deployment"), wrapper);
      await expect.poll(() => holders.linesOf("main"), SOON).toContain("all are held");
      await expect.poll(() => leaders.flatMap(ledWith), SOON).toHaveLength(1);
      await expect.poll(() => linesWith(wrapped, "working with token "), SOON).toHaveLength(1);
      await expect.poll(() => scene.deployment.isSettled, SOON).toBe(true);
      before = await scene.database.held();
      expect(before.size).toBe(HELD_BY_MANY + 2);
    },
    MADE_WITHIN_MS,
  );

  test(
    "is updated by and by, and no lock is lost and no token changes",
    async () => {
      const { deployment, node } = scene;
      const old = deployment.pods;
      expect(old).toHaveLength(3);
      deployment.restart();
      await untilNothingIsLost(() => deployment.isSettled, ROLLED_WITHIN_MS);
      await expectAllToGoOn();
      expect(deployment.pods.filter((pod) => old.includes(pod))).toEqual([]);
      for (const { name } of old) {
        const own = node.events.filter((event) => event.startsWith(`${name}/stormlock `));
        expect(own.at(-1)).toBe(`${name}/stormlock ended 0`);
      }
      // None was taken for dead, took longer than its time, or was started twice.
      const told = node.events.filter((event) => /not alive|killed/u.test(event));
      expect(told).toEqual([]);
      for (const { name } of [...old, ...deployment.pods]) {
        const starts = node.events.filter((event) => event === `${name}/stormlock started`);
        expect(starts).toHaveLength(1);
      }
    },
    MADE_WITHIN_MS,
  );

  test(
    "keeps its daemons when the new ones cannot reach the database, and goes back",
    async () => {
      const { deployment } = scene;
      const old = deployment.pods;
      deployment.update((spec) => ({
        ...spec,
        containers: spec.containers.map((each) => ({
          ...each,
          env: each.env?.map((one) =>
            one.name === kind.passwordVariable ? { name: one.name, value: "yesterday's" } : one,
          ),
        })) as PodSpec["containers"],
      }));
      const startedMs = performance.now();
      await untilNothingIsLost(
        () => performance.now() - startedMs > STUCK_FOR_MS,
        2 * STUCK_FOR_MS,
      );
      expect(deployment.pods.filter((pod) => old.includes(pod) && !pod.isDeleted)).toHaveLength(3);
      expect(deployment.isSettled).toBe(false);
      deployment.update((spec) => spec);
      await untilNothingIsLost(() => deployment.isSettled, ROLLED_WITHIN_MS);
      await expectAllToGoOn();
      expect(new Set(deployment.pods)).toEqual(new Set(old));
    },
    MADE_WITHIN_MS,
  );

  test(
    "has lost nothing by then: all give back what they hold, and who waits comes next",
    async () => {
      await Promise.all([holders.delete(), wrapped.delete()]);
      expect(linesWith(holders, "holds ")).toHaveLength(HELD_BY_MANY);
      expect(linesWith(holders, "released ")).toHaveLength(HELD_BY_MANY);
      expect(wrapped.linesOf("main")).toContain("stopping");
      const [leader, other] = leaders.toSorted((a, b) => ledWith(b).length - ledWith(a).length);
      await leader?.delete();
      await expect.poll(() => (other === undefined ? [] : ledWith(other)), SOON).toHaveLength(1);
      const after = await scene.database.held();
      expect([...after.keys()]).toEqual(["example/leader"]);
      expect(BigInt(after.get("example/leader")?.token ?? 0)).toBeGreaterThan(
        BigInt(before.get("example/leader")?.token ?? 0),
      );
    },
    MADE_WITHIN_MS,
  );
}
