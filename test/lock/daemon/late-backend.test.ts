import { expect, describe, it } from "vitest";
import type { Backend } from "../../../src/lock/backend.js";
import { LockError } from "../../../src/lock/errors.js";
import { LateBackend } from "../../../src/lock/daemon/late-backend.js";
import { FakeClock } from "../../support/fake-clock.js";
import { MemoryStore } from "../../support/memory-backend.js";

interface Scene {
  readonly clock: FakeClock;
  readonly store: MemoryStore;
  readonly late: LateBackend;
  /** How often it was tried. */
  attempts: number;
  /** Whether the store can be had. */
  isUp: boolean;
  /** What was opened and not yet closed. */
  open: number;
}

function scene({ opensAfterMs = 0 } = {}): Scene {
  const clock = new FakeClock();
  const store = new MemoryStore(clock);
  const open = async (): Promise<Backend> => {
    made.attempts += 1;
    if (opensAfterMs > 0) await new Promise<void>((wake) => clock.after(opensAfterMs, wake));
    if (!made.isUp) throw new LockError("unavailable", "nobody listens at store:1");
    const backend = store.open();
    made.open += 1;
    const close = backend[Symbol.asyncDispose].bind(backend);
    backend[Symbol.asyncDispose] = async () => {
      made.open -= 1;
      await close();
    };
    return backend;
  };
  const late = new LateBackend({ name: "main", type: "memory", open, clock });
  const made: Scene = { clock, store, late, attempts: 0, isUp: true, open: 0 };
  return made;
}

const ASK = {
  ...{ resource: "x", leaseId: "lease-1", principal: "ann", ttlMs: 5000, reason: "", labels: {} },
};

describe("a backend whose store is not there", () => {
  it("answers every question with what is wrong", async () => {
    const { late } = Object.assign(scene(), { isUp: false });
    const other = { ...ASK, resource: "y" };
    const answers = await late.acquire([ASK, other]);
    expect(answers).toHaveLength(2);
    for (const answer of answers) {
      expect(answer).toMatchObject({ kind: "failed", error: { kind: "unavailable" } });
    }
    await expect(late.current(["x"])).rejects.toThrow("nobody listens at store:1");
    await expect(late.check()).rejects.toThrow("nobody listens at store:1");
    expect(late.traits).toMatchObject({ type: "memory", place: "main" });
  });

  it("is tried once a second at the most, however many ask", async () => {
    const world = Object.assign(scene(), { isUp: false });
    for (let asked = 0; asked < 100; asked++) {
      await world.late.renew([{ ...ASK }]);
      await world.clock.advance(100);
    }
    expect(world.attempts).toBe(10);
  });

  it("is open for all who asked as soon as the store is there", async () => {
    const world = Object.assign(scene({ opensAfterMs: 300 }), { isUp: false });
    const failed = world.late.acquire([ASK]);
    await world.clock.advance(300);
    expect((await failed)[0]?.kind).toBe("failed");
    world.isUp = true;
    await world.clock.advance(1000);
    const both = Promise.all([world.late.acquire([ASK]), world.late.current(["y"])]);
    await world.clock.advance(300);
    const [[granted], nobody] = await both;
    expect(granted?.kind).toBe("granted");
    expect(nobody).toEqual([undefined]);
    expect(world.attempts).toBe(2);
    expect(world.late.traits).toEqual(world.store.traits);
  });

  it("tells watchers to look when it has come, and of releases from then on", async () => {
    const world = Object.assign(scene(), { isUp: false });
    const heard: (string | undefined)[] = [];
    const stop = world.late.watch((resource) => heard.push(resource));
    expect(await world.late.tryToOpen()).toMatchObject({ kind: "unavailable" });
    world.isUp = true;
    await world.clock.advance(1000);
    expect(await world.late.tryToOpen()).toBeUndefined();
    expect(heard).toEqual([undefined]);
    const other = world.store.open();
    await other.acquire([ASK]);
    await other.release([ASK]);
    await world.clock.settle();
    expect(heard).toEqual([undefined, "x"]);
    stop();
    await other.acquire([{ ...ASK, leaseId: "lease-2" }]);
    await other.release([{ ...ASK, leaseId: "lease-2" }]);
    await world.clock.settle();
    expect(heard).toHaveLength(2);
  });

  it("closed while it is being opened, leaves nothing open", async () => {
    const world = scene({ opensAfterMs: 300 });
    const asked = world.late.acquire([ASK]);
    await world.clock.settle();
    const closed = world.late[Symbol.asyncDispose]();
    await world.clock.advance(300);
    await closed;
    expect((await asked)[0]?.kind).toBe("failed");
    expect(world.attempts).toBe(1);
    expect(world.open).toBe(0);
    expect((await world.late.acquire([ASK]))[0]?.kind).toBe("failed");
    expect(world.attempts).toBe(1);
  });
});
