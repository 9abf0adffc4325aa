// On an overloaded host a guardian takes seconds to begin. The lock is kept all that time, so the
// command that it is to guard runs, and runs to its end.

import { describe, test } from "vitest";
import { pause, until } from "../support/hold-cli.js";
import { holdScene } from "../support/hold-scene.js";

const scene = holdScene("ann@ci-7", "r");
const TTL = "1500ms";

/** The guardian of a wrapper that still waits for its lock. */
async function guardianOf(wrapper: number): Promise<number> {
  const { home } = scene;
  const children = `/proc/${String(wrapper)}/task/${String(wrapper)}/children`;
  const isGuardian = (pid: string): boolean =>
    pid !== "" && home.read(`/proc/${pid}/cmdline`).includes("guardian");
  return Number(await until("it has one", () => home.read(children).split(" ").find(isGuardian)));
}

describe.runIf(process.platform === "linux")(
  "a command runs to its end",
  { concurrent: true },
  () => {
    test.for([
      ["though its guardian begins when the first deadline has passed", 3000],
      ["though its guardian never begins, and another one takes its place", Infinity],
    ] as const)("%s", async ([, stoppedMs], { expect }) => {
      const resource = scene.fresh();
      const taken = await scene.client.hold(resource, { ttlMs: 60_000 });
      if (taken.kind !== "granted") throw new Error(taken.message);
      const run = scene.home.hold(resource, { ttl: TTL, servers: [scene.daemon.address] }, [
        "sh",
        "-c",
        "sleep 2; echo done",
      ]);
      const guardian = await guardianOf(run.pid);
      process.kill(guardian, "SIGSTOP");
      await taken.hold.release();
      if (stoppedMs < Infinity) {
        await pause(stoppedMs);
        process.kill(guardian, "SIGCONT");
      }
      expect(await run.ended).toMatchObject({ code: 0, stdout: "done\n" });
    });
  },
);
