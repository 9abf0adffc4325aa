// The contract of those who wait: a part of scenarios.ts.

import { expect } from "vitest";
import type { Lease, LockClient } from "../../src/index.js";
import { hostMs, pause, until } from "../../test/support/hold-cli.js";
import type { Proxy } from "../../test/support/proxy.js";
import { KEPT_TTL_MS, LONGER_MS, order, taken, type Scenario, type Scene } from "./scene.js";

export const waiting: readonly Scenario[] = [
  {
    name: "who waits is granted when the holder gives it back, and claims nothing before",
    play: async (scene: Scene): Promise<void> => {
      const daemon = await scene.daemon();
      const { hold } = await taken(scene.rival(daemon), "r");
      const actor = scene.actor([daemon.address]);
      actor.hold(order("r", KEPT_TTL_MS));
      await pause(LONGER_MS); // The time in the queue counts for nothing.
      expect(actor.told("r").heldAtMs).toEqual([]);
      const releasedAtMs = hostMs();
      expect(await hold.release()).toBe("released");
      expect(await actor.granted("r")).toBeGreaterThan(hold.token);
      expect(actor.told("r").heldAtMs[0]).toBeGreaterThan(releasedAtMs);
      await pause(LONGER_MS);
      await actor.stillHolds("r");
    },
  },
  {
    name: "who waits is granted in the end, however often the connection is cut",
    play: async (scene: Scene): Promise<void> => {
      const daemon = await scene.daemon();
      const proxy = await scene.proxy(daemon);
      const { hold } = await taken(scene.rival(daemon), "r");
      const actor = scene.actor([proxy.address]);
      actor.hold(order("r", KEPT_TTL_MS));
      for (let n = 0; n < 3; n++) {
        await asked(proxy);
        proxy.cut();
      }
      expect(await hold.release()).toBe("released");
      expect(await actor.granted("r")).toBeGreaterThan(hold.token);
      expect(actor.told("r").isLost).toBe(false);
    },
  },
  {
    name: "a grant that nobody hears of is the same lease when it is asked for again",
    play: async (scene: Scene): Promise<void> => {
      const daemon = await scene.daemon();
      const proxy = await scene.proxy(daemon);
      const rival = scene.rival(daemon);
      const { hold } = await taken(rival, "r");
      const actor = scene.actor([proxy.address]);
      actor.hold(order("r", KEPT_TTL_MS));
      await asked(proxy);
      proxy.pass({ kind: "frozen" }, "down");
      expect(await hold.release()).toBe("released");
      const granted = await leased(rival, "r");
      proxy.cut();
      proxy.pass({ kind: "free" }, "down");
      expect(await actor.granted("r")).toBe(granted.token);
      await actor.stillHolds("r");
      expect(await rival.current("r")).toMatchObject({ leaseId: granted.leaseId });
    },
  },
  {
    name: "who waits is granted in the end when the daemon is killed and comes back",
    play: async (scene: Scene): Promise<void> => {
      const [first, other] = [await scene.daemon(), await scene.daemon()];
      const { hold } = await taken(scene.rival(other), "r");
      const actor = scene.actor([first.address]);
      actor.hold(order("r", KEPT_TTL_MS));
      await pause(1000);
      first.running.kill("SIGKILL");
      await first.running.ended;
      await scene.daemon(first.address);
      expect(await hold.release()).toBe("released");
      expect(await actor.granted("r")).toBeGreaterThan(hold.token);
      await actor.stillHolds("r");
    },
  },
  {
    name: "a wait that no daemon ends is given up by itself, and nothing is lost by that",
    play: async (scene: Scene): Promise<void> => {
      const idle = await scene.idleDaemon();
      const actor = scene.actor([idle.address]);
      actor.hold(order("r", KEPT_TTL_MS, 1000));
      await actor.until("r", "it is given up", ({ failure }) => failure !== undefined);
      await pause(500);
      expect(actor.told("r")).toMatchObject({ token: undefined, heldAtMs: [], isLost: false });
    },
  },
  {
    name: "a place in a queue that names no ttl brings no flood of heartbeats",
    play: async (scene: Scene): Promise<void> => {
      const idle = await scene.idleDaemon();
      const actor = scene.actor([idle.address]);
      actor.hold(order("r", KEPT_TTL_MS));
      await until("it is asked for", () => idle.asks > 0);
      const { heartbeats } = idle;
      await pause(3000);
      // One every 2.7 s, and one for each stream that a crowded machine has it open.
      expect(idle.heartbeats - heartbeats).toBeLessThan(10);
    },
  },
];

/** Returns when a client has asked through a proxy, and a daemon has had the time to answer. */
async function asked(proxy: Proxy): Promise<void> {
  await until("somebody asks", () => proxy.lastUpMs > 0);
  await pause(1500);
}

/** The lease of the actor, once it has one, as the daemon knows it. */
async function leased(rival: LockClient, resource: string): Promise<Lease> {
  for (;;) {
    const lease = await rival.current(resource);
    if (lease?.principal === "actor") return lease;
    await pause(20);
  }
}
