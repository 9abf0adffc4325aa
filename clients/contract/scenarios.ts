// The contract of a holder: what every client library keeps, whatever becomes of networks,
// daemons and itself. The sentences behind it are in docs/guarantees.md.

import { expect } from "vitest";
import { hostMs, pause, until } from "../../test/support/hold-cli.js";
import { KEPT_TTL_MS, LONGER_MS, order, taken, type Scenario, type Scene } from "./scene.js";
import { waiting } from "./waiting.js";

// Where it is to be lost.
const TTL_MS = 3000;
// A heartbeat every three seconds: an answer that is late by one is no silence.
const DEADLINE_TTL_MS = 9000;
const LATE_MS = 1000;
// A heartbeat is far off, and so is the end of what a daemon that stops waits for.
const DRAINED_TTL_MS = 60_000;
// A daemon ends its streams by itself 6.8 s after it has said that it drains.
const DRAINED_WITHIN_MS = 5000;
// As long as a daemon may take to start on a busy machine.
const RESTART_TTL_MS = 10_000;
// What was on its way arrives, a claim that a crowded machine has printed late among it.
const ARRIVED_MS = 500;

const holding: readonly Scenario[] = [
  {
    name: "a free lock is granted, kept beyond its ttl, and given back",
    play: async (scene: Scene): Promise<void> => {
      const daemon = await scene.daemon();
      const rival = scene.rival(daemon);
      const actor = scene.actor([daemon.address]);
      actor.hold(order("r", KEPT_TTL_MS));
      const token = await actor.granted("r");
      expect(await rival.current("r")).toMatchObject({ token, principal: "actor" });
      await pause(LONGER_MS);
      await actor.stillHolds("r");
      expect((await rival.current("r"))?.token).toBe(token);
      actor.release("r");
      await actor.until("r", "it is released", ({ isReleased }) => isReleased);
      expect(actor.told("r").wasKept).toBe(true);
      const { hold, atMs } = await taken(rival, "r");
      expect(hold.token).toBeGreaterThan(token);
      await pause(ARRIVED_MS);
      expect(actor.lastHeldAtMs("r")).toBeLessThan(atMs);
      expect(actor.told("r").isLost).toBe(false);
    },
  },
  {
    name: "a lock that somebody else holds is refused, with the holder's name",
    play: async (scene: Scene): Promise<void> => {
      const daemon = await scene.daemon();
      await taken(scene.rival(daemon), "r");
      const actor = scene.actor([daemon.address]);
      actor.hold(order("r", TTL_MS, 0));
      const told = await actor.until("r", "it is refused", (is) => is.refusedFor !== undefined);
      expect(told).toMatchObject({ refusedFor: "rival", token: undefined, heldAtMs: [] });
    },
  },
  {
    name: "a connection that is cut, again and again, costs nothing",
    play: async (scene: Scene): Promise<void> => {
      const daemon = await scene.daemon();
      const proxy = await scene.proxy(daemon);
      const actor = scene.actor([proxy.address]);
      actor.hold(order("r", KEPT_TTL_MS));
      const token = await actor.granted("r");
      for (let n = 0; n < 3; n++) {
        proxy.cut();
        await pause(0.4 * KEPT_TTL_MS);
        await actor.stillHolds("r");
      }
      expect(proxy.connections).toBeGreaterThan(3);
      expect((await scene.rival(daemon).current("r"))?.token).toBe(token);
      expect(actor.told("r").isLost).toBe(false);
    },
  },
  {
    name: "a daemon that is killed and comes back within the ttl costs nothing",
    play: async (scene: Scene): Promise<void> => {
      const first = await scene.daemon();
      const actor = scene.actor([first.address]);
      actor.hold(order("r", RESTART_TTL_MS));
      const token = await actor.granted("r");
      first.running.kill("SIGKILL");
      await first.running.ended;
      const second = await scene.daemon(first.address);
      await pause(RESTART_TTL_MS);
      await actor.stillHolds("r");
      expect((await scene.rival(second).current("r"))?.token).toBe(token);
    },
  },
  {
    name: "a daemon that is killed leaves the lock with the next address",
    play: async (scene: Scene): Promise<void> => {
      const [first, second] = [await scene.daemon(), await scene.daemon()];
      const actor = scene.actor([first.address, second.address]);
      actor.hold(order("r", KEPT_TTL_MS));
      const token = await actor.granted("r");
      first.running.kill("SIGKILL");
      await pause(LONGER_MS);
      await actor.stillHolds("r");
      expect((await scene.rival(second).current("r"))?.token).toBe(token);
    },
  },
  {
    name: "a daemon that stops in order leaves the lock with the next address",
    play: async (scene: Scene): Promise<void> => {
      const [first, second] = [await scene.daemon(), await scene.daemon()];
      const actor = scene.actor([first.address, second.address]);
      actor.hold(order("r", KEPT_TTL_MS));
      const token = await actor.granted("r");
      first.running.kill("SIGTERM");
      expect((await first.running.ended).code).toBe(0);
      await pause(LONGER_MS);
      await actor.stillHolds("r");
      expect((await scene.rival(second).current("r"))?.token).toBe(token);
    },
  },
  {
    name: "a daemon that says it is about to stop is left before it ends the stream",
    play: async (scene: Scene): Promise<void> => {
      const [first, second] = [await scene.daemon(), await scene.daemon()];
      const next = await scene.proxy(second);
      const actor = scene.actor([first.address, next.address]);
      actor.hold(order("r", DRAINED_TTL_MS));
      const token = await actor.granted("r");
      first.running.kill("SIGTERM");
      await until("the next daemon is asked", () => next.lastUpMs > 0, DRAINED_WITHIN_MS);
      expect((await first.running.ended).code).toBe(0);
      await actor.stillHolds("r");
      expect((await scene.rival(second).current("r"))?.token).toBe(token);
    },
  },
  {
    name: "a daemon that is frozen leaves the lock with the next address",
    play: async (scene: Scene): Promise<void> => {
      const [first, second] = [await scene.daemon(), await scene.daemon()];
      const proxy = await scene.proxy(first);
      const actor = scene.actor([proxy.address, second.address]);
      actor.hold(order("r", KEPT_TTL_MS));
      const token = await actor.granted("r");
      proxy.freeze();
      await pause(LONGER_MS);
      await actor.stillHolds("r");
      expect((await scene.rival(second).current("r"))?.token).toBe(token);
    },
  },
  {
    name: "a daemon that is frozen past the deadline, and no other: lost before the next holder",
    play: async (scene: Scene): Promise<void> => {
      const [frozen, other] = [await scene.daemon(), await scene.daemon()];
      const actor = scene.actor([frozen.address]);
      actor.hold(order("r", TTL_MS));
      const token = await actor.granted("r");
      frozen.running.kill("SIGSTOP");
      let nextAtMs: number;
      try {
        const { hold, atMs } = await taken(scene.rival(other), "r");
        nextAtMs = atMs;
        await actor.until("r", "it is lost", ({ isLost }) => isLost);
        expect(hold.token).toBeGreaterThan(token);
      } finally {
        frozen.running.kill("SIGCONT");
      }
      await pause(1000); // What was on its way arrives, and revives nothing.
      expect(actor.lastHeldAtMs("r")).toBeLessThan(nextAtMs);
    },
  },
  {
    name: "a network that is silent past the deadline: lost before the next holder, for good",
    play: async (scene: Scene): Promise<void> => {
      const daemon = await scene.daemon();
      const proxy = await scene.proxy(daemon);
      const actor = scene.actor([proxy.address]);
      actor.hold(order("r", TTL_MS));
      await actor.granted("r");
      proxy.freeze();
      const { atMs } = await taken(scene.rival(daemon), "r");
      await actor.until("r", "it is lost", ({ isLost }) => isLost);
      proxy.pass({ kind: "free" });
      await pause(1500);
      expect(actor.lastHeldAtMs("r")).toBeLessThan(atMs);
    },
  },
  {
    // The next holder comes when the lease has ended, which is later: this is the deadline itself.
    name: "an answer that comes late counts from when it was asked for, less what clocks may differ",
    play: async (scene: Scene): Promise<void> => {
      const daemon = await scene.daemon();
      const proxy = await scene.proxy(daemon);
      const actor = scene.actor([proxy.address]);
      actor.hold(order("r", DEADLINE_TTL_MS));
      await actor.granted("r");
      await pause(1000); // What follows a grant is over: what comes next is a heartbeat.
      proxy.pass({ kind: "frozen" }, "down");
      const quietMs = proxy.lastUpMs;
      await until("a heartbeat passes", () => proxy.lastUpMs > quietMs);
      proxy.pass({ kind: "frozen" }, "up");
      // No heartbeat that is ever answered was sent later. On this host's monotonic clock.
      const sentByMs = proxy.lastUpMs + (hostMs() - performance.now());
      await pause(LATE_MS);
      proxy.pass({ kind: "free" }, "down");
      await actor.until("r", "it is lost", ({ isLost }) => isLost);
      await pause(ARRIVED_MS);
      const marginMs = Math.max(100, 0.05 * DEADLINE_TTL_MS);
      const deadlineMs = sentByMs + 0.99 * DEADLINE_TTL_MS - marginMs;
      expect(actor.lastHeldAtMs("r")).toBeLessThanOrEqual(deadlineMs);
    },
  },
  {
    name: "a holder that is stopped past its deadline claims nothing when it goes on",
    play: async (scene: Scene): Promise<void> => {
      const daemon = await scene.daemon();
      const actor = scene.actor([daemon.address]);
      actor.hold(order("r", TTL_MS));
      await actor.granted("r");
      actor.pause();
      const { atMs } = await taken(scene.rival(daemon), "r");
      await pause(500);
      actor.goOn();
      await actor.until("r", "it is lost", ({ isLost }) => isLost);
      await pause(ARRIVED_MS);
      expect(actor.lastHeldAtMs("r")).toBeLessThan(atMs);
    },
  },
  {
    // Many of them: the loss and the ack behind it come together, and who reads them has a race.
    name: "leases that are released by their ids elsewhere are lost at the next heartbeat, for good",
    play: async (scene: Scene): Promise<void> => {
      const daemon = await scene.daemon();
      const rival = scene.rival(daemon);
      const actor = scene.actor([daemon.address]);
      const names = Array.from({ length: 20 }, (_, n) => `many/${String(n)}`);
      for (const name of names) actor.hold(order(name, KEPT_TTL_MS));
      for (const name of names) await actor.granted(name);
      for (const name of names) {
        const lease = await rival.current(name);
        expect(await rival.release(name, lease?.leaseId ?? ""), name).toBe("released");
      }
      for (const name of names) await actor.until(name, "it is lost", ({ isLost }) => isLost);
      const lostAtMs = hostMs();
      await pause(ARRIVED_MS);
      for (const name of names) expect(actor.lastHeldAtMs(name), name).toBeLessThan(lostAtMs);
    },
  },
  {
    name: "what somebody has released by its id is lost, for who releases it a moment later, too",
    play: async (scene: Scene): Promise<void> => {
      const daemon = await scene.daemon();
      const rival = scene.rival(daemon);
      const actor = scene.actor([daemon.address]);
      actor.hold(order("r", KEPT_TTL_MS));
      await actor.granted("r");
      const lease = await rival.current("r");
      expect(await rival.release("r", lease?.leaseId ?? "")).toBe("released");
      actor.release("r");
      const told = await actor.until("r", "it is released", ({ isReleased }) => isReleased);
      expect(told.wasKept).toBe(false);
    },
  },
  {
    name: "a release whose answer is lost is one: that the lease is gone then is no loss",
    play: async (scene: Scene): Promise<void> => {
      const daemon = await scene.daemon();
      const proxy = await scene.proxy(daemon);
      const rival = scene.rival(daemon);
      const actor = scene.actor([proxy.address]);
      actor.hold(order("r", KEPT_TTL_MS));
      await actor.granted("r");
      proxy.pass({ kind: "frozen" }, "down");
      actor.release("r");
      while ((await rival.current("r")) !== undefined) await pause(20);
      proxy.cut();
      proxy.pass({ kind: "free" }, "down");
      const told = await actor.until("r", "it is released", ({ isReleased }) => isReleased);
      expect(told).toMatchObject({ wasKept: true, isLost: false });
    },
  },
  {
    name: "a slow network keeps the lock, late as its answers are",
    play: async (scene: Scene): Promise<void> => {
      const daemon = await scene.daemon();
      const proxy = await scene.proxy(daemon);
      proxy.pass({ kind: "late", byMs: 150 });
      const actor = scene.actor([proxy.address]);
      actor.hold(order("r", KEPT_TTL_MS));
      const token = await actor.granted("r");
      await pause(LONGER_MS);
      await actor.stillHolds("r");
      expect((await scene.rival(daemon).current("r"))?.token).toBe(token);
    },
  },
  {
    name: "a hundred locks are kept by one client",
    play: async (scene: Scene): Promise<void> => {
      const daemon = await scene.daemon();
      const actor = scene.actor([daemon.address]);
      const names = Array.from({ length: 100 }, (_, n) => `many/${String(n)}`);
      for (const name of names) actor.hold(order(name, KEPT_TTL_MS));
      for (const name of names) await actor.granted(name);
      await pause(LONGER_MS);
      for (const name of names) {
        await actor.stillHolds(name);
        expect(actor.told(name).isLost, name).toBe(false);
      }
    },
  },
];

export const scenarios: readonly Scenario[] = [...holding, ...waiting];
