import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { conformance } from "../../../src/conformance.js";
import { freePort } from "../../support/free-port.js";
import { isWithoutRedis, RedisServer } from "../../support/servers/redis.js";
import { holder, LEAST_USER, leastRights, open, Raw, take, until } from "./stage.js";

const SLOTS = 16_384;

describe.skipIf(isWithoutRedis)("a redis cluster", () => {
  // Three primaries, and a replica of the one that has our keys.
  const nodes: RedisServer[] = [];
  let owner: RedisServer;
  let replica: RedisServer;

  const url = (...servers: RedisServer[]): string =>
    `redis+cluster://${servers.map(({ address }) => address).join(",")}`;
  const settings = (...servers: RedisServer[]) => ({ url: url(...servers), ...LEAST_USER });
  const cluster = async (node: RedisServer, ...args: (string | number)[]): Promise<string> => {
    await using raw = new Raw(node.port);
    return String(await raw.redis.call("CLUSTER", args.map(String)));
  };

  beforeAll(async () => {
    for (let n = 0; n < 4; n++) {
      const bus = await freePort();
      nodes.push(
        await RedisServer.start({
          config: [
            leastRights("stormlock"),
            ...["cluster-enabled yes", `cluster-port ${String(bus)}`, "cluster-node-timeout 1000"],
            "repl-diskless-sync-delay 0",
          ],
        }),
      );
      const [first] = nodes;
      if (first !== undefined && n > 0) {
        await cluster(first, "MEET", "127.0.0.1", nodes[n]?.port ?? 0, bus);
      }
    }
    const primaries = nodes.slice(0, 3);
    for (const [n, node] of primaries.entries()) {
      const [from, to] = [n, n + 1].map((part) => Math.floor((SLOTS * part) / 3));
      await cluster(node, "ADDSLOTSRANGE", from ?? 0, (to ?? 0) - 1);
    }
    const [first, , , last] = nodes;
    if (first === undefined || last === undefined) throw new Error("no nodes");
    replica = last;
    const slot = Number(await cluster(first, "KEYSLOT", "{stormlock}:state"));
    owner = primaries[Math.floor((slot * 3) / SLOTS)] ?? first;
    const id = await cluster(owner, "MYID");
    await until(
      async () => (await cluster(last, "NODES")).includes(id),
      "nodes should meet",
      20_000,
    );
    await cluster(last, "REPLICATE", id);
    await until(
      async () => {
        const states = await Promise.all(nodes.map((node) => cluster(node, "INFO")));
        await using raw = new Raw(last.port);
        const isLinked = (await raw.redis.info("replication")).includes("master_link_status:up");
        return isLinked && states.every((state) => state.includes("cluster_state:ok"));
      },
      "the cluster should be up",
      30_000,
    );
  }, 90_000);

  afterAll(async () => {
    for (const node of nodes) await node[Symbol.asyncDispose]();
  });

  it("is entered by any node, and all who enter see the same locks", async () => {
    await using first = await open(settings(owner));
    const lease = await take(first, "x");
    for (const node of nodes) {
      await using backend = await open(settings(node));
      await backend.check();
      expect((await holder(backend, "x"))?.token).toBe(lease.token);
      await backend.release([await take(backend, `by/${node.address}`)]);
    }
    await first.release([lease]);
  });

  it("tells of releases whichever nodes the two are at", async () => {
    const others = nodes.filter((node) => node !== owner);
    await using ours = await open(settings(...others));
    await using theirs = await open(settings(owner));
    const heard: (string | undefined)[] = [];
    const stop = ours.watch?.((resource) => heard.push(resource));
    await until(() => heard.includes(undefined), "listening should have begun");
    await theirs.release([await take(theirs, "told")]);
    await until(() => heard.includes("told"), "the release should have been heard of");
    stop?.();
  });

  it("is entered although the first node of the url is down or frozen", async () => {
    const down = `127.0.0.1:${String(await freePort())}`;
    await using one = await open({
      ...LEAST_USER,
      url: `redis+cluster://${down},${owner.address}`,
    });
    await one.check();
    const other = nodes.find((node) => node !== owner && node !== replica);
    other?.freeze();
    try {
      if (other === undefined) throw new Error("no other node");
      await using two = await open({ ...settings(other, owner), timeout: "1s" });
      await two.check();
    } finally {
      other?.goOn();
    }
    await until(
      async () => (await cluster(owner, "INFO")).includes("cluster_state:ok"),
      "up again",
    );
  });

  describe("answers as any other store", () => {
    conformance({ runner: { describe, it }, open: () => open(settings(...nodes)) });
  });

  it("whose replica takes over in order is followed, with the same leases", async () => {
    await using backend = await open(settings(...nodes));
    const lease = await take(backend, "moves", { ttlMs: 60_000 });
    await cluster(replica, "FAILOVER");
    await until(
      async () => {
        await using raw = new Raw(replica.port);
        return (await raw.redis.info("replication")).includes("role:master");
      },
      "the replica should take over",
      20_000,
    );
    let token: bigint | undefined;
    await until(
      async () => {
        const answers = await backend.renew([{ ...lease, ttlMs: undefined }]).catch(() => []);
        token = answers[0]?.kind === "renewed" ? answers[0].lease.token : undefined;
        return answers.length > 0;
      },
      "the new primary should answer",
      5000,
    );
    expect(token).toBe(lease.token);
    await backend.release([lease]);
    expect((await take(backend, "moves")).token).toBeGreaterThan(lease.token);
  });
});
