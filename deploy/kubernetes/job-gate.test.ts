// The job gate, played as a kubelet would.

import { describe, it } from "vitest";
import type { PlayPod } from "./play/pod.js";
import type { PodSpec } from "./play/model.js";
import { isSkipped, MADE_WITHIN_MS, needs, RecipeScene } from "./scene.js";

// Ends are waited for, however long a busy machine takes.
const SOON = { timeout: 60_000, interval: 100 };
const test = isSkipped ? it.skip : it;

const tokenOf = (pod: PlayPod): bigint => {
  const [line = ""] = pod.linesOf("job").filter((each) => each.startsWith("working with token "));
  return BigInt(line.replace("working with token ", ""));
};

/** The job's container does something else, and the sidecar's ttl may be another one. */
const changed =
  (script: string, ttl = "60s") =>
  (spec: PodSpec): PodSpec => ({
    ...spec,
    initContainers: (spec.initContainers ?? []).map((each) => ({
      ...each,
      args: (each.args ?? []).map((word) => (word === "--ttl=60s" ? `--ttl=${ttl}` : word)),
    })),
    containers: spec.containers.map((each) => ({ ...each, args: [script] })),
  });

const open = (): Promise<RecipeScene> => RecipeScene.open("recipes/job-gate", "Job");

// Each has a node of its own, and mostly waits.
describe(`a Job behind the gate${needs}`, { concurrent: true }, () => {
  test(
    "waits until the container of the one before has ended, and has a greater token",
    async ({ expect }) => {
      await using scene = await open();
      const { events } = scene.node;
      const first = await scene.pod("first");
      await expect.poll(() => events, SOON).toContain("first/job started");
      const second = await scene.pod("second");
      expect(await first.ended).toBe("Succeeded");
      expect(await second.ended).toBe("Succeeded");
      const at = (event: string): number => events.indexOf(event);
      expect(at("first/lock started")).toBe(0);
      expect(at("first/job ended 0")).toBeGreaterThan(at("first/job started"));
      expect(at("first/lock ended 0")).toBeGreaterThan(at("first/job ended 0"));
      expect(at("second/job started")).toBeGreaterThan(at("first/job ended 0"));
      expect(tokenOf(second)).toBeGreaterThan(tokenOf(first));
      expect(await scene.ask("current", "example/job")).toMatchObject({ code: 1 });
    },
    MADE_WITHIN_MS,
  );

  test.for([
    ["fails", "sleep 3; exit 3", undefined, 3],
    ["is killed", "sleep 1000 & wait $!", "SIGKILL", 137],
  ] as const)(
    "begins at once when the container of the one before %s",
    { timeout: MADE_WITHIN_MS },
    async ([, script, signal, code], { expect }) => {
      await using scene = await open();
      const { events } = scene.node;
      const first = await scene.pod("first", changed(script));
      await expect.poll(() => events, SOON).toContain("first/job started");
      const second = await scene.pod("second", changed("echo mine"));
      await expect.poll(() => second.linesOf("lock").join("\n"), SOON).toContain("you are 1st");
      if (signal !== undefined) first.container("job").kill(signal);
      expect(await first.ended).toBe("Failed");
      expect(await second.ended).toBe("Succeeded");
      expect(events.indexOf("second/job started")).toBeGreaterThan(
        events.indexOf(`first/job ended ${String(code)}`),
      );
      expect(events).toContain("first/lock ended 0");
    },
  );

  test(
    "is ended when its lock is lost, and fails",
    async ({ expect }) => {
      await using scene = await open();
      const { events } = scene.node;
      const script = 'trap "exit 143" TERM; sleep 1000 & wait $!';
      const only = await scene.pod("only", changed(script, "4s"));
      await expect.poll(() => events, SOON).toContain("only/job started");
      await only.cutNetwork();
      expect(await only.ended).toBe("Failed");
      expect(events).toContain("only/job is not alive");
      const line = "the lock on example/job was lost";
      expect(only.linesOf("lock").join("\n")).toContain(line);
    },
    MADE_WITHIN_MS,
  );

  test(
    "that is deleted while it waits leaves the queue, and has run nothing",
    async ({ expect }) => {
      await using scene = await open();
      const { events } = scene.node;
      const first = await scene.pod("first", changed("sleep 1000 & wait $!"));
      await expect.poll(() => events, SOON).toContain("first/job started");
      const second = await scene.pod("second");
      await expect.poll(() => second.linesOf("lock").join("\n"), SOON).toContain("you are 1st");
      await second.delete();
      expect(await second.ended).toBe("Failed");
      expect(events).toContain("second/lock ended 143");
      expect(events).not.toContain("second/job started");
      first.container("job").kill("SIGKILL");
      await first.ended;
      expect(await scene.ask("current", "example/job")).toMatchObject({ code: 1 });
    },
    MADE_WITHIN_MS,
  );
});
