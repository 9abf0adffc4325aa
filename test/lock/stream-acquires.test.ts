import { describe, expect, it } from "vitest";
import type { HolderSays } from "../../src/lock/hold.js";
import { Admission } from "../../src/rpc/admission.js";
import { StreamAcquires } from "../../src/rpc/stream-acquires.js";
import { BusyClock } from "../support/busy-clock.js";

type Acquire = Extract<HolderSays, { kind: "acquire" }>;

const acquire = (resource: string): Acquire => ({
  ...{ kind: "acquire", resource, leaseId: `of-${resource}`, principal: "ann", ttlMs: 3000 },
  ...{ waitMs: 0, reason: "", labels: {} },
});

function start() {
  const clock = new BusyClock();
  const admission = new Admission({ clock, onChange: () => undefined });
  const begun: string[] = [];
  const refused: string[] = [];
  const state = { isOver: false };
  const acquires = new StreamAcquires({
    admission,
    begin: ({ resource }) => {
      begun.push(resource);
      clock.work(1);
    },
    refuse: ({ resource }) => refused.push(resource),
    isOver: () => state.isOver,
  });
  const ask = (...resources: string[]): void => {
    for (const resource of resources) acquires.enter(acquire(resource));
  };
  const release = (resource: string): void => {
    acquires.leave({ kind: "release", resource, leaseId: `of-${resource}` });
  };
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return { clock, ask, release, begun, refused, state, turn };
}

describe("acquires on a Hold stream", () => {
  it("are begun at once while there is time, and then in their turns", async () => {
    const { ask, begun, turn } = start();
    ask("a", "b", "c", "d", "e", "f");
    expect(begun).toEqual(["a", "b", "c", "d"]);
    await turn();
    expect(begun).toEqual(["a", "b", "c", "d", "e", "f"]);
  });

  it("are not begun when they were released in line, but are when they are asked for again", async () => {
    const { ask, release, begun, turn } = start();
    ask("a", "b", "c", "d", "e", "f", "g");
    release("e");
    release("f");
    release("a");
    ask("f");
    await turn();
    expect(begun).toEqual(["a", "b", "c", "d", "g", "f"]);
    ask("e");
    await turn();
    expect(begun.at(-1)).toBe("e");
  });

  it("are refused under overload, as all others are", () => {
    const { clock, ask, refused } = start();
    ask("a", "b", "c", "d", "e");
    clock.work(2000);
    ask("straw");
    expect(refused).toEqual(["straw"]);
  });

  it("are not begun when their stream is over", async () => {
    const { ask, begun, state, turn } = start();
    ask("a", "b", "c", "d", "e");
    state.isOver = true;
    await turn();
    expect(begun).toEqual(["a", "b", "c", "d"]);
  });
});
