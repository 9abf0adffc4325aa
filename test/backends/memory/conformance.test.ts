import { describe, expect, it } from "vitest";
import { conformance } from "../../../src/conformance.js";
import { FakeClock } from "../../support/fake-clock.js";
import { MemoryStore } from "../../support/memory-backend.js";

const clock = new FakeClock();
const store = new MemoryStore(clock);

// The model that the rules are tested on has to be a model of the port.
conformance({
  runner: { describe, it },
  open: () => Promise.resolve(store.open()),
  wait: (ms) => clock.advance(ms),
});

describe("the faults of the memory store", () => {
  const ask = (leaseId: string) => ({
    ...{ resource: `faulty/${leaseId}`, leaseId, principal: "ann", ttlMs: 1000 },
    ...{ reason: "", labels: {} },
  });

  it("a call that failed before it was applied has done nothing", async () => {
    const client = store.open(({ index }) => (index === 0 ? { fail: "before" } : undefined));
    await expect(client.acquire([ask("a")])).rejects.toMatchObject({ kind: "unavailable" });
    expect(await client.current(["faulty/a"])).toEqual([undefined]);
  });

  it("a call whose answer was lost has been done, and asking again finds it", async () => {
    const client = store.open(({ index }) => (index === 0 ? { fail: "after" } : undefined));
    await expect(client.acquire([ask("b")])).rejects.toMatchObject({ kind: "unavailable" });
    expect(await client.acquire([ask("b")])).toMatchObject([{ kind: "granted", created: false }]);
  });

  it("a question under way is applied when it arrives, and its answer comes later", async () => {
    const client = store.open(({ method }) =>
      method === "acquire" ? { beforeMs: 100, afterMs: 50 } : undefined,
    );
    let isAnswered = false;
    const asked = client.acquire([ask("c")]).then(() => (isAnswered = true));
    await clock.advance(99);
    expect(await client.current(["faulty/c"])).toEqual([undefined]);
    await clock.advance(1);
    expect(await client.current(["faulty/c"])).toMatchObject([{ leaseId: "c" }]);
    await clock.advance(49);
    expect(isAnswered).toBe(false);
    await clock.advance(1);
    expect(isAnswered).toBe(true);
    await asked;
  });
});
