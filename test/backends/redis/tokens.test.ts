import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { isWithoutRedis, RedisServer } from "../../support/servers/redis.js";
import { ask, holder, open, Raw, take } from "./stage.js";

describe.skipIf(isWithoutRedis)("tokens in redis", () => {
  it("keep all their digits, on the way in and on the way out", async () => {
    await using server = await RedisServer.start();
    await using raw = new Raw(server.port);
    await using backend = await open(server.url);
    // Far ahead of the clock, so that only the stored token counts; odd, so that a number that
    // was rounded anywhere is another one.
    await raw.redis.hset("{stormlock}:state", "token", "8123456789012345");
    const tokens: bigint[] = [];
    for (let round = 0; round < 3; round++) {
      const lease = await take(backend, "deploy");
      expect((await holder(backend, "deploy"))?.token).toBe(lease.token);
      expect((await raw.row("deploy"))["made"]).toMatch(
        new RegExp(`^${String(lease.token)} `, "u"),
      );
      expect((await raw.row("deploy"))["end"]).toBe(String(lease.expiresAtUs));
      tokens.push(lease.token);
      await backend.release([lease]);
    }
    expect(tokens).toEqual([8123456789012346n, 8123456789012347n, 8123456789012348n]);
  });

  it("are the server's time in µs, and one more within one batch", async () => {
    await using server = await RedisServer.start();
    await using raw = new Raw(server.port);
    await using backend = await open(server.url);
    const [seconds, micros] = (await raw.redis.time()) as unknown as [string, string];
    const answers = await backend.acquire(["a", "b", "c"].map((name) => ask(name)));
    const tokens = answers.map((answer) => (answer.kind === "granted" ? answer.lease.token : 0n));
    const beforeUs = BigInt(seconds) * 1_000_000n + BigInt(micros);
    expect(tokens[0]).toBeGreaterThanOrEqual(beforeUs);
    expect(tokens[0]).toBeLessThan(beforeUs + 10_000_000n);
    expect(tokens).toEqual([tokens[0], (tokens[0] ?? 0n) + 1n, (tokens[0] ?? 0n) + 2n]);
  });

  it("grow across release, expiry, pruning and a restart, with the row or without", async () => {
    await using server = await RedisServer.start({ isDurable: true });
    await using backend = await open(server.url, { keepRowsMs: 1 });
    await using raw = new Raw(server.port);
    // The server's clock seems to go back by years: what is stored alone makes tokens grow.
    await raw.redis.hset("{stormlock}:state", "token", "4000000000000000");
    const first = await take(backend, "x", { ttlMs: 100 });
    await backend.release([first]);
    const second = await take(backend, "x", { ttlMs: 100 });
    await pause(150);
    const third = await take(backend, "x", { ttlMs: 100 });
    await pause(150);
    await take(backend, "new"); // Whoever adds a row prunes others.
    await backend[Symbol.asyncDispose]();
    expect(await raw.row("x")).toEqual({});
    await server.stop("SIGKILL");
    await server.start();
    await using later = await open(server.url);
    const fourth = await take(later, "x");
    const tokens = [first, second, third, fourth].map(({ token }) => token);
    expect(tokens).toEqual([...tokens].sort((a, b) => (a < b ? -1 : 1)));
    expect(new Set(tokens).size).toBe(4);
    expect(first.token).toBe(4000000000000001n);
  });

  it("grow although the server has lost everything in a restart", async () => {
    await using server = await RedisServer.start();
    await using backend = await open(server.url);
    let last = 0n;
    for (let round = 0; round < 3; round++) {
      const lease = await take(backend, "x");
      expect(lease.token).toBeGreaterThan(last);
      last = lease.token;
      await server.stop("SIGKILL");
      await server.start();
      await backend.current(["x"]).catch(() => undefined); // Finds the old connection gone.
      expect(await holder(backend, "x")).toBeUndefined();
    }
  });
});

describe.skipIf(isWithoutRedis)("rows in redis", () => {
  it("stay after their lease's end with token and last id, and go when nobody needs them", async () => {
    await using server = await RedisServer.start();
    await using backend = await open(server.url, { keepRowsMs: 400 });
    await using raw = new Raw(server.port);
    const asked = ask("old", { ttlMs: 10_000 });
    await backend.acquire([asked]);
    await backend.release([asked]);
    await take(backend, "held", { ttlMs: 100 });
    await pause(150);
    expect(await raw.redis.ttl("{stormlock}:lease:old")).toBe(-1);
    await take(backend, "another");
    await pause(50);
    expect((await backend.acquire([asked]))[0]?.kind).toBe("spent");
    expect(await raw.redis.exists("{stormlock}:lease:held")).toBe(1); // Not 400 ms since its end.

    await pause(500);
    await take(backend, "one more");
    await backend[Symbol.asyncDispose](); // Lets the pruning end.
    expect(await raw.redis.exists("{stormlock}:lease:held")).toBe(0);
    expect(await raw.redis.zscore("{stormlock}:names", "held")).toBeNull();
    expect(await raw.redis.zscore("{stormlock}:ends", "held")).toBeNull();
    // A released lease might have lived until its end: that is what its row waits for.
    expect(await raw.redis.exists("{stormlock}:lease:old")).toBe(1);
  });

  it("of leases that were renewed past their first end are not pruned", async () => {
    await using server = await RedisServer.start();
    await using backend = await open(server.url, { keepRowsMs: 1 });
    const lease = await take(backend, "kept", { ttlMs: 100 });
    await backend.renew([{ ...lease, ttlMs: 60_000 }]);
    await pause(200);
    await take(backend, "new 1");
    await pause(100);
    await take(backend, "new 2");
    await pause(100);
    expect((await holder(backend, "kept"))?.token).toBe(lease.token);
    expect(await backend.list({ prefix: "kept", after: undefined, limit: 9 })).toHaveLength(1);
  });

  it("do not pile up: a thousand names that nobody uses any more go with the next thousand", async () => {
    await using server = await RedisServer.start();
    await using backend = await open(server.url, { keepRowsMs: 1 });
    await using raw = new Raw(server.port);
    const names = (part: string) => Array.from({ length: 1000 }, (_, n) => `${part}/${String(n)}`);
    await backend.acquire(names("old").map((name) => ask(name, { ttlMs: 100 })));
    await pause(200);
    await backend.acquire(names("new").map((name) => ask(name)));
    await backend[Symbol.asyncDispose]();
    expect(await raw.redis.zcard("{stormlock}:names")).toBe(1000);
    expect(await raw.redis.zcard("{stormlock}:ends")).toBe(1000);
    expect(await raw.redis.dbsize()).toBe(1000 + 3);
  });

  it("that are another program's fail their own question, and no other of the batch", async () => {
    await using server = await RedisServer.start();
    await using backend = await open(server.url);
    await using raw = new Raw(server.port);
    await raw.redis.set("{stormlock}:lease:bad", "hello");
    const asks = ["a", "bad", "b"].map((name) => ask(name));
    const answers = await backend.acquire(asks);
    expect(answers.map(({ kind }) => kind)).toEqual(["granted", "failed", "granted"]);
    const [, failure] = answers;
    expect(failure?.kind === "failed" && failure.error.message).toMatch(/"bad".*another program/u);
    const renewals = await backend.renew(asks.map((one) => ({ ...one, ttlMs: undefined })));
    expect(renewals.map(({ kind }) => kind)).toEqual(["renewed", "failed", "renewed"]);
    const releases = await backend.release(asks);
    expect(releases.map(({ kind }) => kind)).toEqual(["released", "failed", "released"]);
  });

  it.each([
    ["a ttl and no more", { ttl: "5" }],
    ["an end that is no number", { id: "x", made: "1 1 {}", rev: "1", end: "soon", ttl: "5" }],
    ["no token", { id: "x", made: "{}", rev: "1", end: "1e16", ttl: "5" }],
    ["a holder that is no text", { id: "x", made: "1 1 {}", rev: "1", end: "1e16", ttl: "5" }],
    [
      "labels that are none",
      {
        ...{ id: "x", rev: "1", end: "1e16", ttl: "5" },
        made: '1 1 {"principal":"a","reason":"","labels":[1]}',
      },
    ],
  ])("that are another program's hashes do so, too: with %s", async (_what, fields) => {
    await using server = await RedisServer.start();
    await using backend = await open(server.url);
    await using raw = new Raw(server.port);
    const names = ["a", "bad", "b"];
    await take(backend, "bad"); // So that it has a name to be listed by.
    await raw.redis.del("{stormlock}:lease:bad");
    await raw.redis.hset("{stormlock}:lease:bad", fields);
    const kinds = (answers: readonly (object | undefined)[]): unknown[] =>
      answers.map((answer) => answer && ("kind" in answer ? answer.kind : "lease"));
    const asks = names.map((name) => ask(name));
    expect(kinds(await backend.acquire(asks))).toEqual(["granted", "failed", "granted"]);
    expect(kinds(await backend.current(names))).toEqual(["lease", "failed", "lease"]);
    const answers = await backend.list({ prefix: "", after: undefined, limit: 9 });
    expect(kinds(answers)).toEqual(["lease", "lease", "failed"]);
    expect(answers[2]).toMatchObject({
      resource: "bad",
      error: { message: expect.stringMatching(/"bad".*another program/u) as string },
    });
    expect(kinds(await backend.release(asks)).filter((kind) => kind === "released")).toHaveLength(
      2,
    );
    expect(await raw.redis.hgetall("{stormlock}:lease:bad")).toEqual(fields);
  });

  it("of two prefixes are two stores", async () => {
    await using server = await RedisServer.start();
    await using one = await open(server.url);
    await using two = await open({ url: server.url, prefix: "team b" });
    await take(one, "x");
    await take(two, "x");
    expect(await two.list({ prefix: "", after: undefined, limit: 9 })).toHaveLength(1);
    await using raw = new Raw(server.port);
    expect(
      (await raw.redis.keys("*")).filter((key) => !/^\{(stormlock|team b)\}:/u.test(key)),
    ).toEqual([]);
  });

  it("are listed in the order of their bytes over more names than one look takes", async () => {
    await using server = await RedisServer.start();
    await using backend = await open(server.url);
    const ended = Array.from({ length: 1000 }, (_, n) => ask(`a/${String(n)}`, { ttlMs: 100 }));
    await backend.acquire(ended);
    await pause(150);
    const names = Array.from({ length: 1500 }, (_, n) => `b/${String(n)}`);
    await backend.acquire(names.slice(0, 1000).map((name) => ask(name)));
    await backend.acquire(names.slice(1000).map((name) => ask(name)));
    const listed = await backend.list({ prefix: "", after: undefined, limit: 1400 });
    expect(listed.map(({ resource }) => resource)).toEqual(names.sort().slice(0, 1400));
    const rest = await backend.list({
      prefix: "b/",
      after: listed.at(-1)?.resource ?? "",
      limit: 1400,
    });
    expect(rest.map(({ resource }) => resource)).toEqual(names.slice(1400));
  });
});
