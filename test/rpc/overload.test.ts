import * as grpc from "@grpc/grpc-js";
import { service as healthService } from "grpc-health-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connect } from "../../src/connect.js";
import type { Clock } from "../../src/lock/clock.js";
import { systemClock } from "../../src/system-clock.js";
import { startDaemon, type Daemon } from "./support/daemon.js";
import {
  callHeaders,
  END_HEADERS,
  END_STREAM,
  frame,
  FRAME,
  grpcMessage,
  PREFACE,
  Raw,
} from "./support/raw.js";
import { HoldStream } from "./support/hold-stream.js";
import { StockClient, type Answer } from "./support/stock-client.js";

const { status } = grpc;

const MANY = 2000;

let daemon: Daemon;
let client: StockClient;

// To look at the clock takes two milliseconds: so a daemon on any machine is too slow for what
// follows, which comes faster than that.
beforeEach(async () => {
  let lookedMs = 0;
  const clock: Clock = {
    ...systemClock,
    monotonicMs: () => systemClock.monotonicMs() + (lookedMs += 2),
  };
  daemon = await startDaemon({ clock });
  client = new StockClient(daemon.address);
});
afterEach(async () => {
  await client[Symbol.asyncDispose]();
  await daemon[Symbol.asyncDispose]();
});

function flood(): Promise<Answer[]> {
  return Promise.all(
    Array.from({ length: MANY }, (_, at) =>
      client.call("acquire", { resource: `flood/${String(at)}` }),
    ),
  );
}

describe("a daemon that is asked for far more locks than it can give", () => {
  it("refuses new acquires as UNAVAILABLE, with what to do, and nothing is done for those", async () => {
    const answers = await flood();
    const granted = answers.filter(({ code }) => code === status.OK);
    const refused = answers.filter(({ code }) => code !== status.OK);
    expect(granted.length).toBeGreaterThan(0);
    expect(refused.length).toBeGreaterThan(0);
    for (const answer of refused) {
      expect(answer).toMatchObject({ code: status.UNAVAILABLE, reason: "OVERLOADED" });
      expect(answer.details).toContain("ask again in a second, or ask another daemon");
    }
    let held = 0;
    for (let pageToken = ""; ;) {
      const { message } = await client.call("list", { prefix: "flood/", page_token: pageToken });
      held += (message["leases"] as unknown[]).length;
      pageToken = String(message["next_page_token"]);
      if (pageToken === "") break;
    }
    expect(held).toBe(granted.length);

    const lines = daemon.log.filter((line) => line.includes("overloaded"));
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThan(10);
    const metrics = await (await fetch(`http://${daemon.address}/metrics`)).text();
    const count = String(refused.length);
    expect(metrics).toContain(`stormlock_acquires_refused_total ${count}\n`);
    expect(metrics).toContain(
      `stormlock_calls_total{method="/stormlock.v1.LockService/Acquire",code="UNAVAILABLE"} ${count}\n`,
    );
    expect(metrics).toMatch(/stormlock_event_loop_delay_seconds_count [1-9]/u);
  });

  it("answers whatever else it is asked: heartbeats, renewals, releases, reads and health", async () => {
    const stream = new HoldStream(client);
    stream.acquire("held");
    await stream.next("granted");
    const mine = { resource: "mine", lease_id: "m".repeat(32) };
    await client.call("acquire", mine);
    const other = { resource: "other", lease_id: "o".repeat(32) };
    await client.call("acquire", other);

    const flooded = flood();
    const seq = String(stream.heartbeat());
    const asked = await Promise.all([
      client.call("renew", mine),
      client.call("isHeld", mine),
      client.call("current", mine),
      client.call("release", other),
      isServing(),
    ]);
    expect(asked.map((answer) => (typeof answer === "string" ? answer : answer.code))).toEqual([
      ...[status.OK, status.OK, status.OK, status.OK, "SERVING"],
    ]);
    const ack = await stream.next("heartbeat_ack", { seq });
    expect(ack["behind"]).toEqual([]);
    expect((await flooded).some(({ code }) => code === status.UNAVAILABLE)).toBe(true);
    stream.break();
  });

  it("has a lock for a client that asks again", async () => {
    await using locks = connect({ servers: [daemon.address] });
    const flooded = flood();
    expect(await locks.acquire("wanted")).toMatchObject({ kind: "granted" });
    await flooded;
  });

  it("forgets those in line whose connections break", async () => {
    const request = grpcMessage(Buffer.from("\n\u0001y"));
    const requests = Array.from({ length: 500 }, (_, at) =>
      Buffer.concat([
        frame(FRAME.headers, END_HEADERS, at * 2 + 1, callHeaders("Acquire")),
        frame(FRAME.data, END_STREAM, at * 2 + 1, request),
      ]),
    );
    for (let round = 0; round < 10; round++) {
      await using raw = new Raw(daemon.port);
      await raw.send(PREFACE, ...requests);
      await expect.poll(() => raw.received.length).toBeGreaterThan(100);
    }
    const name = { resource: "after", lease_id: "after" };
    await expect.poll(async () => (await client.call("acquire", name)).code).toBe(status.OK);
  });

  it("refuses at the web door, too", async () => {
    const answers = flood();
    const acquire = async (at: number): Promise<string> => {
      const answer = await fetch(`http://${daemon.address}/stormlock.v1.LockService/Acquire`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ resource: `web/${String(at)}` }),
      });
      return `${String(answer.status)} ${await answer.text()}`;
    };
    const all = await Promise.all(Array.from({ length: 100 }, (_, at) => acquire(at)));
    const refused = all.filter((answer) => !answer.startsWith("200 "));
    for (const answer of refused) expect(answer).toMatch(/^503 .*more acquires .* than it can/su);
    await answers;
  });
});

async function isServing(): Promise<string> {
  const Health = grpc.makeGenericClientConstructor(healthService, "Health");
  const health = new Health(daemon.address, grpc.credentials.createInsecure(), {
    "grpc.enable_http_proxy": 0,
  });
  try {
    return await new Promise((resolve, reject) => {
      health["check"]?.(
        { service: "" },
        (error: grpc.ServiceError | null, answer?: { readonly status: string }) => {
          if (error === null) resolve(answer?.status ?? "");
          else reject(error);
        },
      );
    });
  } finally {
    health.close();
  }
}
