import { describe, expect, it } from "vitest";
import type { AcquireAsk } from "../../../src/lock/backend.js";
import { Batcher, type RenewWish } from "../../../src/lock/daemon/batcher.js";
import { LockError } from "../../../src/lock/errors.js";
import { FakeClock } from "../../support/fake-clock.js";
import { asked, renewalsOf, Watched, wishFor } from "../../support/lock-kit.js";
import { MemoryStore, type Faults } from "../../support/memory-backend.js";

function start(faults?: Faults) {
  const clock = new FakeClock();
  const store = new MemoryStore(clock);
  const backend = store.open(faults);
  return { clock, store, backend, batcher: new Batcher(backend, clock) };
}

const acquireOf = (resource: string): AcquireAsk => ({
  ...wishFor(`lease-of-${resource}`),
  resource,
  ttlMs: 10_000,
});

const renewalOf = (resource: string): RenewWish => ({
  ...{ resource, leaseId: "x", ttlMs: undefined, signOfLifeAtMs: 0 },
});

describe("the batcher", () => {
  it("sends what is asked in one turn as one batch of each kind, renewals first, reads last", async () => {
    const { clock, backend, batcher } = start();
    void batcher.current("r1");
    void batcher.acquire(acquireOf("a1"));
    void batcher.release({ resource: "l1", leaseId: "x" });
    void batcher.renew(renewalOf("n1"));
    void batcher.acquire(acquireOf("a2"));
    void batcher.renew(renewalOf("n2"));
    await clock.settle();
    expect(asked(backend)).toEqual(["renew n1,n2", "release l1", "acquire a1,a2", "current r1"]);
  });

  it("tells the age of a renewal's sign of life in whole milliseconds, as the port has it", async () => {
    const { clock, backend, batcher } = start();
    const renewals = renewalsOf(backend);
    const signOfLifeAtMs = clock.monotonicMs() - 12.25;
    void batcher.renew({ ...renewalOf("n1"), signOfLifeAtMs });
    await clock.settle();
    expect(renewals.map(({ ageMs }) => ageMs)).toEqual([13]);
  });

  it("tells what is left of a lease, where its keeper knows, as of when the store is asked", async () => {
    const { clock, backend, batcher } = start();
    const renewals = renewalsOf(backend);
    const validUntilMs = clock.monotonicMs() + 700;
    void batcher.renew({ ...renewalOf("n1"), validUntilMs });
    void batcher.renew(renewalOf("n2"));
    await clock.settle();
    expect(renewals.map(({ validForMs }) => validForMs)).toEqual([700, undefined]);
  });

  it("sends what is asked in the next turn as the next batch", async () => {
    const { clock, backend, batcher } = start();
    void batcher.acquire(acquireOf("a1"));
    await clock.settle();
    void batcher.acquire(acquireOf("a2"));
    await clock.settle();
    expect(asked(backend)).toEqual(["acquire a1", "acquire a2"]);
  });

  it("gives every asker the answer to its own question", async () => {
    const { clock, batcher } = start();
    const first = new Watched(batcher.acquire(acquireOf("a1")));
    const second = new Watched(batcher.acquire(acquireOf("a2")));
    await clock.settle();
    expect(first.value).toMatchObject({ kind: "granted", lease: { resource: "a1" } });
    expect(second.value).toMatchObject({ kind: "granted", lease: { resource: "a2" } });
  });

  it("asks the store once for a resource that several ask after in one turn, and afresh in the next", async () => {
    const { clock, backend, batcher } = start();
    const reads = [1, 2, 3].map(() => new Watched(batcher.current("r1")));
    await clock.settle();
    expect(asked(backend)).toEqual(["current r1"]);
    expect(reads.map(({ kind }) => kind)).toEqual(["undefined", "undefined", "undefined"]);
    await batcher.acquire(acquireOf("r1"));
    expect(await batcher.current("r1")).toMatchObject({ resource: "r1" });
  });

  it("sends at most 1000 questions in one batch", async () => {
    const { clock, backend, batcher } = start();
    const answers = Array.from(
      { length: 2500 },
      (_, index) => new Watched(batcher.acquire(acquireOf(`r${String(index)}`))),
    );
    await clock.settle();
    expect(backend.calls.map(({ resources }) => resources.length)).toEqual([1000, 1000, 500]);
    expect(answers[2499]?.value).toMatchObject({ kind: "granted", lease: { resource: "r2499" } });
  });

  it("sends a store no more questions in one batch than it wants, but reads all the same", async () => {
    const clock = new FakeClock();
    const backend = new MemoryStore(clock, { longestBatch: 2 }).open();
    const batcher = new Batcher(backend, clock);
    for (const name of ["a1", "a2", "a3"]) void batcher.acquire(acquireOf(name));
    for (const name of ["r1", "r2", "r3"]) void batcher.current(name);
    await clock.settle();
    expect(asked(backend)).toEqual(["acquire a1,a2", "acquire a3", "current r1,r2,r3"]);
  });

  it("tells every asker of a batch that has failed, and goes on with the next", async () => {
    const { clock, batcher } = start(({ index }) => (index === 0 ? { fail: "before" } : undefined));
    const failed = ["a1", "a2"].map((name) => new Watched(batcher.acquire(acquireOf(name))));
    await clock.settle();
    expect(failed.map(({ kind }) => kind)).toEqual(["failed", "failed"]);
    const next = new Watched(batcher.acquire(acquireOf("a1")));
    await clock.settle();
    expect(next.kind).toBe("granted");
  });

  it("rejects a read that the store has not answered, with the store's reason", async () => {
    const { batcher } = start(() => ({ fail: "before" }));
    await expect(batcher.current("r1")).rejects.toMatchObject({ kind: "unavailable" });
  });

  it("takes too few answers, none at all, and a throw for failures of those who asked", async () => {
    const { clock, backend, batcher } = start();
    const tooFew = "the store's adapter (memory) answered fewer questions than it was asked";
    const odd: [() => unknown, string][] = [
      [() => Promise.resolve([]), tooFew],
      [() => Promise.resolve(undefined), tooFew],
      [
        () => {
          throw new Error("a driver's own words");
        },
        "a driver's own words",
      ],
    ];
    for (const [answer, words] of odd) {
      backend.acquire = answer as typeof backend.acquire;
      const asker = new Watched(batcher.acquire(acquireOf("a1")));
      await clock.settle();
      expect(asker.value).toMatchObject({ kind: "failed", error: expect.any(LockError) as object });
      expect(asker.value).toMatchObject({ error: { message: words } });
    }
  });
});
