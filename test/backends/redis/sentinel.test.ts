import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backend } from "../../../src/lock/backend.js";
import { isWithoutRedis, RedisServer } from "../../support/servers/redis.js";
import { ask, open, Raw, take, until } from "./stage.js";

describe.skipIf(isWithoutRedis)("redis found by sentinels", () => {
  let primary: RedisServer;
  let replica: RedisServer;
  let sentinel: RedisServer;

  beforeAll(async () => {
    primary = await RedisServer.start({ config: ["repl-diskless-sync-delay 0"] });
    replica = await RedisServer.start({
      config: [`replicaof 127.0.0.1 ${String(primary.port)}`],
    });
    sentinel = await RedisServer.start({
      isSentinel: true,
      config: [
        `sentinel monitor main 127.0.0.1 ${String(primary.port)} 1`,
        "sentinel down-after-milliseconds main 500",
        "sentinel failover-timeout main 3000",
      ],
    });
    await using raw = new Raw(sentinel.port);
    await until(
      async () => {
        const replicas = (await raw.redis.call("SENTINEL", "REPLICAS", "main")) as unknown[];
        return JSON.stringify(replicas).includes('"master-link-status","ok"');
      },
      "the sentinel should know the replica",
      20_000,
    );
  });

  afterAll(async () => {
    for (const server of [sentinel, replica, primary]) await server[Symbol.asyncDispose]();
  });

  it("is the primary, and after its end the one that was promoted, with greater tokens", async () => {
    const nobody = "127.0.0.1:1"; // A sentinel that is down is passed over.
    await using backend = await open(`redis+sentinel://${nobody},${sentinel.address}/main`);
    expect(backend.traits.place).toBe(`main of the sentinels ${nobody},${sentinel.address}`);
    const lease = await take(backend, "x", { ttlMs: 60_000 });
    const hints: (string | undefined)[] = [];
    const stop = backend.watch?.((resource) => hints.push(resource));
    await until(() => hints.length === 1, "listening should have begun");
    await using raw = new Raw(primary.port);
    await raw.redis.wait(1, 5000); // Replication is asynchronous: here it has happened.

    await primary.stop("SIGKILL");
    const renewed = await untilAnswered(backend, lease);
    expect(renewed).toMatchObject({ kind: "renewed", lease: { token: lease.token } });
    await backend.release([lease]);
    expect((await take(backend, "x")).token).toBeGreaterThan(lease.token);
    await backend.check();
    await until(() => hints.length > 1, "listening should have begun again");
    stop?.();

    // The old primary comes back as a replica; nobody is led to it.
    await primary.start();
    await backend.check();
    expect((await backend.acquire([ask("x")]))[0]?.kind).toBe("held");
  });

  it("is refused when no sentinel knows the name or answers", async () => {
    await expect(open(`redis+sentinel://${sentinel.address}/other`)).rejects.toThrow(
      /^no sentinel says where the primary of redis other of the sentinels .* is/u,
    );
    await expect(open("redis+sentinel://127.0.0.1:1,127.0.0.1:2/main")).rejects.toThrow(
      /^no sentinel says|nothing listens there/u,
    );
  });
});

async function untilAnswered(
  backend: Backend,
  lease: { resource: string; leaseId: string },
): Promise<unknown> {
  let answer: unknown;
  await until(
    async () => {
      [answer] = await backend.renew([{ ...lease, ttlMs: undefined }]).catch(() => [undefined]);
      return answer !== undefined;
    },
    "the promoted server should answer",
    20_000,
  );
  return answer;
}
