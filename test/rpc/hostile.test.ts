import { get } from "node:http";
import * as grpc from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
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
  resetFrame,
} from "./support/raw.js";
import { StockClient } from "./support/stock-client.js";

const { status } = grpc;

// Whatever has been thrown at the daemon: others find it as it was.
async function expectHealthy(daemon: Daemon): Promise<void> {
  await using client = new StockClient(daemon.address);
  const name = { resource: "health", lease_id: `id-${String(Math.random())}` };
  expect(await client.call("acquire", name)).toMatchObject({ code: status.OK });
  expect(await client.call("release", name)).toMatchObject({ code: status.OK });
  expect((await fetch(`http://${daemon.address}/healthz`)).status).toBe(200);
}

describe("malformed requests", () => {
  it("that are no protobuf are the caller's fault, by their status", async () => {
    await using daemon = await startDaemon();
    await using client = new StockClient(daemon.address);
    for (const junk of [
      Buffer.from([0xff, 0xff, 0xff]),
      Buffer.alloc(60_000, 0x0b),
      Buffer.from("0a05ab", "hex"),
    ]) {
      expect(await rawCall(client, junk)).toBe(status.INVALID_ARGUMENT);
    }
    await expectHealthy(daemon);
  });

  it("over 64 KiB are refused on both doors with the limit, and nothing is kept of them", async () => {
    await using daemon = await startDaemon();
    await using client = new StockClient(daemon.address);
    for (const size of [64 * 1024, 1024 * 1024, 8 * 1024 * 1024]) {
      const answer = await client.call("acquire", { resource: "a".repeat(size) });
      expect(answer).toMatchObject({ code: status.INVALID_ARGUMENT, reason: "INVALID_FIELD" });
      expect(answer.details).toContain("at most 65536 bytes");
    }
    const url = `http://${daemon.address}/stormlock.v1.LockService/Acquire`;
    for (const size of [64 * 1024, 1024 * 1024]) {
      const body = JSON.stringify({ resource: "a".repeat(size) });
      const init = { method: "POST", headers: { "content-type": "application/json" } };
      const refused = await fetch(url, { ...init, body });
      expect(refused.status).toBe(413);
      expect(await refused.json()).toMatchObject({
        code: "invalid_argument",
        message: expect.stringContaining("65536") as string,
      });
    }
    await expect.poll(() => openCalls(daemon)).toBe(0);
    await expectHealthy(daemon);
  });

  it("cut off in the middle of headers, frames or messages harm nobody", async () => {
    await using daemon = await startDaemon();
    const call = Buffer.concat([
      PREFACE,
      frame(FRAME.headers, END_HEADERS, 1, callHeaders("Acquire")),
      frame(FRAME.data, END_STREAM, 1, grpcMessage(Buffer.from("\n\u0001x"))),
    ]);
    for (let length = 1; length < call.length; length += 7) {
      await using client = new Raw(daemon.port);
      await client.send(call.subarray(0, length));
    }
    await expect.poll(() => openCalls(daemon)).toBe(0);
    await expectHealthy(daemon);
  });

  it("with a method, a content type or an :authority that is none of ours are answered or cut", async () => {
    await using daemon = await startDaemon();
    const wrong: Record<string, string>[] = [
      { ":path": "/x" },
      { ":path": "*" },
      { ":path": "//[" },
      { "content-type": "text/html" },
      { ":authority": "a b" },
      { ":authority": "[::1" },
      { ":authority": "%zz:99999" },
      { ":authority": "" },
      { ":method": "GET" },
      { "grpc-timeout": "x" },
      { "grpc-timeout": "99999999H" },
      { "grpc-encoding": "brotli" },
      { "x-bin": "!!!" },
    ];
    for (const changed of wrong) {
      await using client = new Raw(daemon.port);
      // Once alone, once with its reset in the same packet.
      await client.send(PREFACE, frame(FRAME.headers, 5, 1, callHeaders("Acquire", changed)));
      await client.send(frame(FRAME.headers, 5, 3, callHeaders("Acquire", changed)), resetFrame(3));
      await client.send(
        frame(FRAME.headers, 4, 5, callHeaders("Acquire", changed)),
        frame(FRAME.data, 1, 5, Buffer.from([1, 0, 0, 0, 2, 0, 0])),
      );
      await pause(20);
    }
    await expectHealthy(daemon);
  });

  it("with a malformed Host or target are answered 400 or 404, and the daemon lives", async () => {
    await using daemon = await startDaemon();
    const current = "/stormlock.v1.LockService/Current";
    for (const host of [
      "a b",
      "[",
      "[::1",
      "localhost:99999",
      "localhost/x",
      "a:b:c",
      "%00",
      "@",
      "x y:1",
      "localhost:1:2",
    ]) {
      expect(await statusOf(daemon, `POST ${current} HTTP/1.1\r\nHost: ${host}\r\n`)).toBe(400);
    }
    expect(await statusOf(daemon, `POST ${current} HTTP/1.1\r\n`)).toBe(400);
    for (const target of [
      "//",
      "//[",
      "http://[",
      "*",
      "/%",
      `//evil.example${current}`,
      `http://evil.example${current}`,
    ]) {
      expect(await statusOf(daemon, `GET ${target} HTTP/1.1\r\nHost: localhost\r\n`)).toBe(404);
    }
    expect(
      await statusOf(
        daemon,
        `GET ${current}?connect=v1&encoding=json&message=%zz HTTP/1.1\r\nHost: localhost\r\n`,
      ),
    ).toBe(400);
    await expectHealthy(daemon);
  });
});

describe("slow and silent connections", () => {
  it(
    "are closed ten seconds after they have said nothing, or not enough",
    { timeout: 40_000 },
    async () => {
      await using daemon = await startDaemon({ http: ["127.0.0.1:0"] });
      const webPort = Number(daemon.server.httpAddresses[0]?.split(":")[1]);
      await using silent = new Raw(daemon.port);
      await using stuttering = new Raw(daemon.port);
      await using silentWeb = new Raw(webPort);
      await using slowHeaders = new Raw(daemon.port);
      await using slowBody = new Raw(daemon.port);
      await using headersOnly = new Raw(daemon.port);
      await stuttering.send("PR");
      await slowHeaders.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n");
      await slowBody.send("POST /stormlock.v1.LockService/Acquire HTTP/1.1\r\nHost: localhost\r\n");
      await slowBody.send("content-type: application/json\r\ncontent-length: 100\r\n\r\n");
      const open = frame(FRAME.headers, END_HEADERS, 1, callHeaders("Acquire"));
      await headersOnly.send(PREFACE, open);
      await expect.poll(() => openCalls(daemon)).toBe(2);

      const startedAt = performance.now();
      const drip = setInterval(() => {
        void slowHeaders.send("x-a: b\r\n");
        void slowBody.send("{");
      }, 500);
      await Promise.all(
        [silent, stuttering, silentWeb, slowHeaders, slowBody].map(({ closed }) => closed),
      );
      clearInterval(drip);
      expect(performance.now() - startedAt).toBeGreaterThan(9000);
      expect(performance.now() - startedAt).toBeLessThan(14_000);
      // A gRPC connection may go on; its stream was closed.
      await expect.poll(() => openCalls(daemon)).toBe(0);
      await expectHealthy(daemon);
    },
  );

  it("a thousand silent ones do not keep out one that speaks", async () => {
    await using daemon = await startDaemon();
    const silent = Array.from({ length: 1100 }, () => new Raw(daemon.port));
    await Promise.all(
      silent.map(({ socket }) => new Promise((resolve) => socket.once("connect", resolve))),
    );
    await expectHealthy(daemon);
    await expect
      .poll(() => silent.filter(({ socket }) => socket.destroyed).length)
      .toBeGreaterThan(50);
    await Promise.all(silent.map((client) => client[Symbol.asyncDispose]()));
  });
});

const isLong = process.env["STORMLOCK_LONG"] === "1";

it.runIf(isLong)(
  "a failed session's connection is closed within a minute",
  { timeout: 70_000 },
  async () => {
    await using daemon = await startDaemon();
    for (let count = 0; count < 20; count++) {
      await using client = new Raw(daemon.port);
      await client.send(PREFACE, Buffer.alloc(200, 0xab));
      await pause(5);
    }
    // The one that is left is the one that asks.
    await expect.poll(() => metric(daemon, "connections"), { timeout: 60_000 }).toBe(1);
  },
);

// The bytes as they are, past any client library's own checks.
function rawCall(client: StockClient, bytes: Buffer): Promise<grpc.status> {
  return new Promise((resolve) => {
    client.client.makeUnaryRequest(
      "/stormlock.v1.LockService/Acquire",
      (body: Buffer) => body,
      (body: Buffer) => body,
      bytes,
      (error) => {
        resolve(error?.code ?? status.OK);
      },
    );
  });
}

async function statusOf(daemon: Daemon, head: string): Promise<number> {
  await using client = new Raw(daemon.port);
  await client.send(
    `${head}Connection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`,
  );
  await client.closed;
  return Number(/^HTTP\/1\.1 ([0-9]{3})/u.exec(client.text)?.[1]);
}

function openCalls(daemon: Daemon): Promise<number> {
  return metric(daemon, "calls_in_flight");
}

function metric({ port }: Daemon, name: string): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ port, host: "127.0.0.1", path: "/metrics", agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (text += chunk));
      response.on("end", () => {
        resolve(Number(new RegExp(`^stormlock_${name} ([0-9]+)$`, "mu").exec(text)?.[1]));
      });
    }).on("error", reject);
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
