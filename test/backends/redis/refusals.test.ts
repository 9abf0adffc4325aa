// What is said of a server that will not do, in one line.

import { describe, expect, it } from "vitest";
import { freePort } from "../../support/free-port.js";
import { isWithoutRedis, RedisServer } from "../../support/servers/redis.js";
import { ask, holder, LEAST_USER, leastRights, open, Raw, take } from "./stage.js";

/** Why it cannot be opened: always one line, of one kind, without a secret. */
async function refusal(settings: Parameters<typeof open>[0]): Promise<string> {
  try {
    await (await open(settings))[Symbol.asyncDispose]();
  } catch (error) {
    expect(error).toMatchObject({ name: "LockError", kind: "unavailable" });
    const { message, cause } = error as Error;
    expect(message).not.toMatch(/\n|s3cret|wr0ng/u);
    expect(JSON.stringify([cause, Object.entries(cause as object)])).not.toMatch(/s3cret|wr0ng/u);
    return message;
  }
  throw new Error("it should have been refused");
}

async function opens(settings: Parameters<typeof open>[0]): Promise<void> {
  await using backend = await open(settings);
  await backend.check();
}

describe.skipIf(isWithoutRedis)("redis is refused, in words that help,", () => {
  it("when nothing listens there, or its host is unknown", async () => {
    const port = await freePort();
    expect(await refusal(`redis://127.0.0.1:${String(port)}`)).toBe(
      `redis 127.0.0.1:${String(port)} cannot be reached: nothing listens there; start it, or correct url`,
    );
    expect(await refusal("redis://no-such-host.invalid")).toMatch(
      /^redis no-such-host\.invalid:6379 cannot be found: its host's name is unknown/u,
    );
    expect(await refusal("unix:///nowhere/redis.sock")).toMatch(
      /^redis \/nowhere\/redis\.sock cannot be reached \(.*ENOENT/u,
    );
  });

  it("when it does not answer", async () => {
    await using server = await RedisServer.start();
    server.freeze();
    const startedMs = performance.now();
    expect(await refusal({ url: server.url, timeout: "300ms" })).toMatch(
      /^redis 127\.0\.0\.1:[0-9]+ has not answered within 300ms: see whether/u,
    );
    expect(performance.now() - startedMs).toBeLessThan(4000);
    server.goOn();
  });

  it("when user or password are wrong or missing", async () => {
    await using server = await RedisServer.start({
      config: [leastRights("stormlock"), "requirepass s3cret"],
    });
    const wrong = /refuses the user or password: correct them/u;
    expect(await refusal(`redis://:wr0ng@${server.address}`)).toMatch(wrong);
    expect(await refusal({ url: server.url, user: "nobody", password: "wr0ng" })).toMatch(wrong);
    expect(await refusal({ url: server.url, ...LEAST_USER, password: "wr0ng" })).toMatch(wrong);
    expect(await refusal(server.url)).toMatch(/wants a password: give user and password/u);
    await opens(`redis://:s3cret@${server.address}`);
    const login = `${LEAST_USER.user}:${encodeURIComponent(LEAST_USER.password)}`;
    await using backend = await open(`redis://${login}@${server.address}`);
    await take(backend, "x");
  });

  it("when its user lacks a right", async () => {
    const without = (right: string): string => leastRights("stormlock").replace(` ${right}`, "");
    for (const right of ["+evalsha", "+hget", "+hdel"]) {
      await using server = await RedisServer.start({ config: [without(right)] });
      expect(await refusal({ url: server.url, ...LEAST_USER })).toMatch(
        /does not allow this user what is needed \(.*\): docs\/backends\/redis\.md lists the rights$/u,
      );
    }
    await using server = await RedisServer.start({ config: [leastRights("other")] });
    expect(await refusal({ url: server.url, ...LEAST_USER })).toMatch(/what is needed/u);
  });

  it("when it knows no scripts, without repeating what was sent, as its own error does", async () => {
    await using server = await RedisServer.start({ config: ["rename-command EVALSHA other"] });
    expect(await refusal(server.url)).toMatch(
      /^redis 127\.0\.0\.1:[0-9]+ cannot be used: ERR unknown command 'evalsha'$/u,
    );
  });

  it("when it is a replica, even for those who only look", async () => {
    await using primary = await RedisServer.start();
    await using replica = await RedisServer.start({
      config: [`replicaof 127.0.0.1 ${String(primary.port)}`],
    });
    expect(await refusal(replica.url)).toBe(
      `redis ${replica.address} is a replica of ${primary.address} and grants nothing: name its primary in url, or let sentinels find it (redis+sentinel://)`,
    );
    await opens(primary.url);
  });

  it("when it has become a replica since", async () => {
    await using server = await RedisServer.start();
    await using other = await RedisServer.start();
    await using backend = await open(server.url);
    await using raw = new Raw(server.port);
    const lease = await take(backend, "x");
    await raw.redis.replicaof("127.0.0.1", other.port);
    const replica = /is a replica of .* and grants nothing/u;
    await expect(backend.acquire([ask("x")])).rejects.toThrow(replica);
    await expect(backend.current(["x"])).rejects.toThrow(replica);
    await expect(backend.list({ prefix: "", after: undefined, limit: 1 })).rejects.toThrow(replica);
    await expect(backend.renew([{ ...lease, ttlMs: undefined }])).rejects.toThrow(replica);
    await expect(backend.check()).rejects.toThrow(replica);
    await raw.redis.replicaof("NO", "ONE");
    await backend.check();
  });

  it("when it may throw keys away, unless told that this is wanted", async () => {
    for (const policy of ["allkeys-lru", "volatile-ttl"]) {
      await using server = await RedisServer.start({ config: [`maxmemory-policy ${policy}`] });
      expect(await refusal(server.url)).toMatch(
        new RegExp(`has maxmemory-policy ${policy}, by which it may throw locks away`, "u"),
      );
      await using backend = await open({ url: server.url, allow_eviction: true });
      await backend.check();
    }
    await using server = await RedisServer.start();
    await using backend = await open(server.url);
    await using raw = new Raw(server.port);
    await backend.check();
    await raw.redis.config("SET", "maxmemory-policy", "allkeys-lfu");
    await expect(backend.check()).rejects.toThrow(/maxmemory-policy allkeys-lfu/u);
  });

  it("when it does not say whether it may, by INFO or by CONFIG GET", async () => {
    const rights = leastRights("stormlock");
    const cases = [
      { rights, policy: "noeviction", expected: undefined },
      { rights, policy: "allkeys-lru", expected: /has maxmemory-policy allkeys-lru/u },
      { rights: rights.replace("+info", "+config|get"), policy: "noeviction", expected: undefined },
      {
        rights: rights.replace("+info", "+config|get"),
        policy: "allkeys-lru",
        expected: /has maxmemory-policy allkeys-lru/u,
      },
      {
        rights: rights.replace("+info", ""),
        policy: "noeviction",
        expected:
          /does not say whether it may throw locks away.*allow its user INFO or CONFIG GET/u,
      },
    ];
    for (const { rights, policy, expected } of cases) {
      await using server = await RedisServer.start({
        config: [rights, `maxmemory-policy ${policy}`],
      });
      const settings = { url: server.url, ...LEAST_USER };
      if (expected === undefined) {
        await using backend = await open(settings);
        await backend.check();
      } else {
        expect(await refusal(settings)).toMatch(expected);
        await opens({ ...settings, allow_eviction: true });
      }
    }
  });

  it("when it has no such database: locks in another one would be no locks", async () => {
    await using server = await RedisServer.start({ config: ["databases 4"] });
    expect(await refusal(`${server.url}/7`)).toMatch(/does not have the database that url names/u);
    await using backend = await open(`${server.url}/3`);
    await take(backend, "x");
    await using raw = new Raw(server.port);
    expect(await raw.redis.dbsize()).toBe(0);
  });

  it("when a newer Stormlock has been at work there", async () => {
    await using server = await RedisServer.start();
    await using raw = new Raw(server.port);
    await raw.redis.hset("{stormlock}:state", "format", "2");
    expect(await refusal(server.url)).toMatch(/made by a newer Stormlock \(format 2\)/u);
  });

  it("when it is part of a cluster and the url does not say so", async () => {
    await using server = await RedisServer.start({
      config: ["cluster-enabled yes", `cluster-port ${String(await freePort())}`],
    });
    await using raw = new Raw(server.port);
    await raw.redis.call("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
    expect(await refusal(server.url)).toMatch(
      /is part of a cluster: begin the url with redis\+cluster/u,
    );
  });

  it("when others could not be told of a release", async () => {
    const rights = leastRights("stormlock").replace("&{stormlock}:freed", "");
    await using server = await RedisServer.start({ config: [rights] });
    await using backend = await open({ url: server.url, ...LEAST_USER });
    await expect(backend.check()).rejects.toThrow(
      /allow it PUBLISH and SUBSCRIBE on the channel \{stormlock\}:freed/u,
    );
    // A hint is not worth a release.
    const lease = await take(backend, "x");
    expect((await backend.release([lease]))[0]?.kind).toBe("released");
  });
});

describe.skipIf(isWithoutRedis)("a redis without memory", () => {
  it("keeps and lets go what is held, grants nothing new, and says so", async () => {
    await using server = await RedisServer.start();
    await using backend = await open(server.url);
    await using raw = new Raw(server.port);
    const asked = ask("x");
    const [first] = await backend.acquire([asked]);
    await raw.redis.config("SET", "maxmemory", "1");
    const answers = await backend.acquire([ask("y"), asked, ask("x")]);
    expect(answers.map(({ kind }) => kind)).toEqual(["failed", "granted", "held"]);
    expect(answers[0]?.kind === "failed" && answers[0].error.message).toMatch(
      /no memory left to grant "y": raise its maxmemory/u,
    );
    await expect(backend.check()).rejects.toThrow(/has no memory left: raise its maxmemory/u);
    const [renewed] = await backend.renew([{ ...asked, ttlMs: 60_000 }]);
    expect(renewed?.kind === "renewed" && renewed.lease.remainingMs).toBeGreaterThan(50_000);
    expect(renewed?.kind === "renewed" && first?.kind === "granted" && renewed.lease.token).toBe(
      first?.kind === "granted" && first.lease.token,
    );
    expect((await backend.release([asked]))[0]?.kind).toBe("released");
    expect(await holder(backend, "x")).toBeUndefined();
    await raw.redis.config("SET", "maxmemory", "0");
    await take(backend, "y");
    await backend.check();
  });
});

describe.skipIf(isWithoutRedis)("the clock of the daemon", () => {
  it("may be an hour off, either way: the server's clock alone decides", async () => {
    await using server = await RedisServer.start();
    await using first = await open(server.url);
    const lease = await take(first, "x");
    const real = Date.now;
    try {
      for (const hours of [-1, 1]) {
        Date.now = () => real() + hours * 3_600_000;
        await using moved = await open(server.url);
        expect((await moved.acquire([ask("x")]))[0]?.kind).toBe("held");
        const other = await take(moved, `y/${String(hours)}`);
        expect(Math.abs(Number(other.createdAtUs - lease.createdAtUs))).toBeLessThan(60_000_000);
        expect(Math.abs(Number(other.token - lease.token))).toBeLessThan(60_000_000);
        const [renewed] = await moved.renew([{ ...lease, ttlMs: 20_000 }]);
        expect(renewed?.kind === "renewed" && renewed.lease.remainingMs).toBeGreaterThan(19_000);
      }
    } finally {
      Date.now = real;
    }
  });
});

describe.skipIf(isWithoutRedis)("redis is used, and warned of with the class that it has,", () => {
  const warningsOf = async (settings: Parameters<typeof open>[0]): Promise<readonly string[]> => {
    await using backend = await open(settings);
    await backend.check();
    return backend.warnings ?? [];
  };
  const BEST_EFFORT = / so the guarantee is best effort \+ fencing, not single-node durable: /u;

  it("when it writes no append-only file, also for a user with the least rights", async () => {
    await using server = await RedisServer.start({ config: [leastRights("stormlock")] });
    for (const login of [{}, LEAST_USER]) {
      const warnings = await warningsOf({ url: server.url, ...login });
      expect(warnings).toEqual([expect.stringMatching(BEST_EFFORT)]);
      expect(warnings[0]).toContain(`redis at ${server.address} writes no append-only file`);
    }
  });

  it("when it syncs that file every second only, and no more once it does so always", async () => {
    await using server = await RedisServer.start({ isDurable: true });
    expect(await warningsOf(server.url)).toEqual([]);
    await using raw = new Raw(server.port);
    await raw.redis.config("SET", "appendfsync", "everysec");
    const warnings = await warningsOf(server.url);
    expect(warnings).toEqual([expect.stringMatching(BEST_EFFORT)]);
    expect(warnings[0]).toContain("appendfsync everysec");
  });
});
