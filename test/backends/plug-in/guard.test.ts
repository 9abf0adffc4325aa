// What a plug-in does against the port is an error that names it, and never an answer.

import { expect, it } from "vitest";
import { guardOf } from "../../../src/backends/plug-in/guard.js";
import type { AcquireAsk, Backend } from "../../../src/lock/backend.js";
import { LockError } from "../../../src/lock/errors.js";
import { newLeaseId } from "../../../src/lock/lease.js";
import { FakeClock } from "../../support/fake-clock.js";
import { leaseIn } from "../../../src/lock/unreadable.js";
import { MemoryStore } from "../../support/memory-backend.js";

const guard = guardOf("some-store");

/** A guarded backend of which some parts are others. */
function spoilt(parts: Record<string, unknown>): Backend {
  const backend = new MemoryStore(new FakeClock()).open();
  return guard.backend(
    new Proxy(backend, {
      get: (target, name) => {
        const value: unknown =
          typeof name === "string" && Object.hasOwn(parts, name)
            ? parts[name]
            : Reflect.get(target, name, target);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    }),
  );
}

const ask = (more: Partial<AcquireAsk> = {}): AcquireAsk => ({
  ...{ resource: "r", leaseId: newLeaseId(), principal: "ann", ttlMs: 1000, reason: "" },
  ...{ labels: {}, ...more },
});

const never = (): Promise<never> => Promise.reject(new Error("not reached"));

it("a backend that keeps to the port is not changed by being looked at", async () => {
  const backend = spoilt({ warnings: ["old version"] });
  const one = ask();
  const [granted, other] = await backend.acquire([one, ask({ resource: "s" })]);
  expect([granted?.kind, other?.kind]).toEqual(["granted", "granted"]);
  expect((await backend.acquire([ask()]))[0]?.kind).toBe("held");
  expect((await backend.renew([{ ...one, ttlMs: undefined }]))[0]?.kind).toBe("renewed");
  expect((await backend.current(["r", "none"])).map((answer) => leaseIn(answer)?.leaseId)).toEqual([
    one.leaseId,
    undefined,
  ]);
  expect(await backend.list({ prefix: "", after: undefined, limit: 9 })).toHaveLength(2);
  expect((await backend.release([one]))[0]?.kind).toBe("released");
  expect((await backend.renew([{ ...one, ttlMs: undefined }]))[0]?.kind).toBe("lost");
  expect((await backend.acquire([one]))[0]?.kind).toBe("spent");
  expect(backend.warnings).toEqual(["old version"]);
  expect(backend.traits.type).toBe("memory");
  expect(Reflect.get(backend, "watch")).toBeTypeOf("function");
  expect(Reflect.get(spoilt({ watch: undefined }), "watch")).toBeUndefined();
});

it("a hand-over is looked at in both its halves, and one that a plug-in lacks is missing", async () => {
  const [mine, next] = [ask(), ask()];
  const asks = [{ release: mine, acquire: next }];
  const sound = spoilt({});
  await sound.acquire([mine]);
  expect(await sound.handOver?.(asks)).toMatchObject([
    { kind: "asked", release: { kind: "released" }, acquire: { kind: "granted" } },
  ]);
  expect(spoilt({ handOver: undefined }).handOver).toBeUndefined();
  expect(() => spoilt({ handOver: "no" })).toThrow(
    /some-store opens a backend whose handOver is no/u,
  );
  const answering = (answers: unknown): Backend =>
    spoilt({ handOver: () => Promise.resolve(answers) });
  await expect(answering([]).handOver?.(asks)).rejects.toThrow(/gave 0 answers to 1 questions/u);
  const release = { kind: "released" };
  expect(
    await answering([{ kind: "asked", release, acquire: { kind: "granted" } }]).handOver?.(asks),
  ).toMatchObject([{ release, acquire: { kind: "failed", error: { kind: "internal" } } }]);
  expect(await answering([{ kind: "?" }]).handOver?.(asks)).toMatchObject([
    { release: { kind: "failed" }, acquire: { kind: "failed" } },
  ]);
  const error = new Error("disk on fire");
  expect(await answering([{ kind: "failed", error }]).handOver?.(asks)).toMatchObject([
    { kind: "failed", error: { kind: "unavailable" } },
  ]);
});

it.each([
  ["fewer", [], /some-store gave 0 answers to 1 questions of/u],
  ["more", [{ kind: "lost" }, { kind: "lost" }], /some-store gave 2 answers to 1 questions of/u],
  ["no list", undefined, /some-store gave 0 answers to 1 questions of/u],
])("%s answers than questions are none", async (_what, answers, words) => {
  const given = () => Promise.resolve(answers);
  const backend = spoilt({ acquire: given, renew: given, release: given, current: given });
  for (const asked of [
    () => backend.acquire([ask()]),
    () => backend.renew([{ ...ask(), ttlMs: undefined }]),
    () => backend.release([ask()]),
    () => backend.current(["r"]),
  ]) {
    await expect(asked()).rejects.toThrow(words);
    await expect(asked()).rejects.toMatchObject({ kind: "internal" });
  }
});

it.each([
  ["of an unknown kind", () => ({ kind: "yes" }), /an answer of an unknown kind/u],
  ["without a kind", () => "granted", /an answer of an unknown kind/u],
  ["without a lease", () => ({ kind: "granted" }), /no lease/u],
  [
    "with a token that is a number",
    () => ({ kind: "granted", lease: { token: 1 } }),
    /token is no bigint/u,
  ],
])("an answer %s has failed, and the others stand", async (_what, answer, words) => {
  const store = new MemoryStore(new FakeClock()).open();
  const backend = spoilt({
    acquire: async (asks: readonly AcquireAsk[]) => [
      answer(),
      ...(await store.acquire(asks.slice(1))),
    ],
  });
  const [bad, good] = await backend.acquire([ask(), ask({ resource: "s" })]);
  if (bad?.kind !== "failed") throw new Error(`it is ${String(bad?.kind)}`);
  expect(bad.error.message).toMatch(words);
  expect(bad.error.message).toContain("the plug-in some-store");
  expect(bad.error.isDefinite).toBe(false);
  expect(good?.kind).toBe("granted");
});

it("a lease that belongs to another question has failed", async () => {
  const store = new MemoryStore(new FakeClock()).open();
  const backend = spoilt({
    acquire: async (asks: readonly AcquireAsk[]) => (await store.acquire(asks)).toReversed(),
    renew: async () => [{ kind: "renewed", lease: (await store.current(["a"]))[0] }],
  });
  const answers = await backend.acquire([ask({ resource: "a" }), ask({ resource: "b" })]);
  expect(answers.map((answer) => answer.kind === "failed" && answer.error.message)).toEqual(
    Array(2).fill(expect.stringContaining("a lease of another resource")),
  );
  const [renewed] = await backend.renew([{ resource: "a", leaseId: "1".repeat(32), ttlMs: 1 }]);
  expect(renewed).toMatchObject({ kind: "failed" });
});

it("a holder is never refused its own lease", async () => {
  const store = new MemoryStore(new FakeClock()).open();
  const one = ask();
  await store.acquire([one]);
  const holder = (await store.current(["r"]))[0];
  const backend = spoilt({ acquire: () => Promise.resolve([{ kind: "held", holder }]) });
  expect(await backend.acquire([one])).toMatchObject([{ kind: "failed" }]);
});

it("a list tells of what cannot be read, with an error of ours", async () => {
  const answer = { kind: "failed", resource: "x", error: new Error("gibberish") };
  const backend = spoilt({ list: () => Promise.resolve([answer]) });
  expect(await backend.list({ prefix: "", after: undefined, limit: 9 })).toEqual([
    { kind: "failed", resource: "x", error: expect.any(LockError) as LockError },
  ]);
});

it("a list of what is no lease is an error", async () => {
  const ask = { prefix: "", after: undefined, limit: 1 };
  await expect(spoilt({ list: () => Promise.resolve([1]) }).list(ask)).rejects.toThrow(/no lease/u);
  await expect(spoilt({ list: () => Promise.resolve({}) }).list(ask)).rejects.toThrow(/no list/u);
  const nameless = { kind: "failed", error: new Error("gibberish") };
  const backend = spoilt({ list: () => Promise.resolve([nameless]) });
  await expect(backend.list(ask)).rejects.toThrow(/answered list with a lease whose/u);
});

it("errors keep their kind, also those of another copy of this package", async () => {
  class Foreign extends Error {
    override readonly name = "LockError";
    readonly kind = "not-allowed";
  }
  const check = (thrown: unknown) =>
    spoilt({ check: () => Promise.reject(thrown as Error) })
      .check()
      .catch((error: unknown) => error);
  const ours = new LockError("overloaded", "too much");
  expect(await check(ours)).toBe(ours);
  const foreign = await check(new Foreign("go away"));
  expect(foreign).toBeInstanceOf(LockError);
  expect(foreign).toMatchObject({ kind: "not-allowed", message: "go away" });
  const other = await check(new TypeError("x is undefined\n  at y"));
  expect(other).toMatchObject({ kind: "unavailable" });
  expect((other as Error).message).toBe("the plug-in some-store failed: x is undefined");
  const failed = { kind: "failed", error: new Foreign("go away") };
  const [answer] = await spoilt({ renew: () => Promise.resolve([failed]) }).renew([
    { ...ask(), ttlMs: undefined },
  ]);
  expect(answer).toMatchObject({ kind: "failed", error: { kind: "not-allowed" } });
  expect(answer?.kind === "failed" && answer.error).toBeInstanceOf(LockError);
});

const traits = { type: "t", place: "p", minTtlMs: 1, takeoverSlackMs: 0 };
const whole = {
  ...{ traits, acquire: never, renew: never, release: never, current: never, list: never },
  ...{ check: never, [Symbol.asyncDispose]: never },
};

it.each([
  ["undefined", undefined, "that is no object"],
  ["no renew", { ...whole, renew: undefined }, "without a function renew"],
  ["no end", { ...whole, [Symbol.asyncDispose]: 1 }, "without a function Symbol.asyncDispose"],
  ["no traits", { ...whole, traits: undefined }, "whose traits.type is no text"],
  [
    "a place that is none",
    { ...whole, traits: { ...traits, place: 1 } },
    "whose traits.place is no text",
  ],
  [
    "no shortest ttl",
    { ...whole, traits: { ...traits, minTtlMs: 0 } },
    "minTtlMs is no number above 0",
  ],
  [
    "a slack that is none",
    { ...whole, traits: { ...traits, takeoverSlackMs: -1 } },
    "takeoverSlackMs is no number",
  ],
  [
    "batches of nothing",
    { ...whole, traits: { ...traits, longestBatch: 0 } },
    "longestBatch is no number from 1 on",
  ],
  ["a watch that is none", { ...whole, watch: 1 }, "whose watch is no function"],
])("%s is no backend, which no waiting mends", (_what, given, words) => {
  let thrown: unknown;
  try {
    guard.backend(given);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toMatchObject({ kind: "invalid-field", isDefinite: true });
  expect((thrown as Error).message).toContain(`the plug-in some-store opens a backend`);
  expect((thrown as Error).message).toContain(words);
});

it("what a plug-in throws before there is a promise is told like what it throws later", async () => {
  const throws = (): never => {
    throw new TypeError("no such thing");
  };
  const calls = ["acquire", "renew", "release", "handOver", "current", "list", "check"] as const;
  const backend = spoilt({
    ...Object.fromEntries(calls.map((call) => [call, throws])),
    watch: throws,
  });
  const words = /the plug-in some-store failed: .*no such thing/u;
  await expect(backend.acquire([ask()])).rejects.toThrow(words);
  await expect(backend.renew([{ ...ask(), ttlMs: undefined }])).rejects.toThrow(words);
  await expect(backend.release([ask()])).rejects.toThrow(words);
  await expect(backend.handOver?.([{ release: ask(), acquire: ask() }])).rejects.toThrow(words);
  await expect(backend.current(["r"])).rejects.toThrow(words);
  await expect(backend.list({ prefix: "", after: undefined, limit: 1 })).rejects.toThrow(words);
  await expect(backend.check()).rejects.toThrow(words);
  // Who watches waits for nothing: it is a warning, and his alarm wakes him.
  backend.watch?.(() => undefined)();
  expect(backend.warnings).toEqual([expect.stringMatching(words)]);
});

it("a lease of current that breaks the port fails its question alone", async () => {
  const store = new MemoryStore(new FakeClock()).open();
  await store.acquire([ask()]);
  const backend = spoilt({
    current: async () => [
      ...(await store.current(["r"])),
      { resource: "s" },
      { kind: "failed", error: new TypeError("unreadable") },
    ],
  });
  const [good, bad, failed] = await backend.current(["r", "s", "t"]);
  expect(good).toMatchObject({ resource: "r" });
  expect(bad).toMatchObject({ kind: "failed", error: { kind: "internal" } });
  expect(failed).toMatchObject({ kind: "failed", error: { kind: "unavailable" } });
});
