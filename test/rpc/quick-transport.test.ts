import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { LockError } from "../../src/lock/errors.js";
import { grpcTransport } from "../../src/rpc/grpc/channel.js";
import { UnaryClient } from "../../src/rpc/unary-client.js";
import { systemClock } from "../../src/system-clock.js";
import { startDaemon } from "./support/daemon.js";
import { quickly } from "./support/quickly.js";

const OURS = "HTTP/1.1 200 OK\r\nserver: stormlock\r\n";

const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Something that listens and is no daemon. */
async function listen(onSocket: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return `127.0.0.1:${String((server.address() as { port: number }).port)}`;
}

/** A transport that counts how often gRPC was loaded for it. */
function watched(address: string) {
  const seen = { grpc: 0 };
  const transport = quickly(address, () => seen.grpc++);
  closing.push(() => transport[Symbol.asyncDispose]());
  return { transport, seen };
}

const refusal = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );

// What the store in memory tells anew each time.
const moving = { validFor: undefined, expireTime: undefined };

it("the quick way gives the same answers as gRPC, and does without it", async () => {
  await using daemon = await startDaemon();
  const { transport, seen } = watched(daemon.address);
  await using grpc = grpcTransport({ address: daemon.address, clock: systemClock });
  const wish = {
    resource: 'deploy/"prod" ✓',
    leaseId: "a-lease-id",
    principal: "ann@laptop",
    ttl: { $typeName: "google.protobuf.Duration", seconds: 90n, nanos: 500_000_000 },
    reason: 'release "4.2" \\ ✓',
    labels: { team: "billing", empty: "" },
  } as const;
  const { lease } = await transport.unary("acquire", wish, {});
  expect(lease).toMatchObject({ ttl: { seconds: 90n, nanos: 500_000_000 }, labels: wish.labels });

  const where = { resource: wish.resource };
  const quick = (await transport.unary("current", where, {})).lease;
  const slow = (await grpc.unary("current", where, {})).lease;
  expect({ ...quick, ...moving }).toEqual({ ...slow, ...moving });
  expect(quick?.expireTime?.seconds).toBeGreaterThan(slow?.createTime?.seconds ?? 0n);
  expect(quick?.validFor?.seconds).toBeGreaterThan(80n);

  const mine = { ...where, leaseId: wish.leaseId };
  const renewed = await transport.unary("renew", mine, {});
  expect(renewed.lease?.fencingToken).toBe(lease?.fencingToken);
  expect((await transport.unary("isHeld", mine, {})).held).toBe(true);
  expect((await transport.unary("release", mine, {})).outcome).toBe(1);
  expect((await transport.unary("release", mine, {})).outcome).toBe(2);
  expect((await transport.unary("isHeld", mine, {})).held).toBe(false);
  expect((await transport.unary("current", where, {})).lease).toBeUndefined();
  expect(seen.grpc).toBe(0);
});

const wordsOf = ({ kind, field, holder, message }: LockError): object => ({
  ...{ kind, field, message },
  holder: holder && { ...holder, remainingMs: 0, expiresAtUs: 0n },
});

it("the quick way gives the same refusals as gRPC", async () => {
  await using daemon = await startDaemon();
  const { transport, seen } = watched(daemon.address);
  await using grpc = grpcTransport({ address: daemon.address, clock: systemClock });
  await grpc.unary("acquire", { resource: "x", principal: "ann", reason: "why" }, {});
  const asks = [
    ["acquire", { resource: "x" }],
    ["acquire", { resource: "" }],
    ["renew", { resource: "x", leaseId: "nobody's" }],
  ] as const;
  for (const [method, request] of asks) {
    const quick = (await refusal(transport.unary(method, request, {}))) as LockError;
    const slow = (await refusal(grpc.unary(method, request, {}))) as LockError;
    expect(quick).toBeInstanceOf(LockError);
    expect(wordsOf(quick)).toEqual(wordsOf(slow));
    expect(quick.isDefinite).toBe(true);
  }
  expect(seen.grpc).toBe(0);
});

it("the quick way goes over a unix socket", async () => {
  const folder = await mkdtemp(join(tmpdir(), "stormlock-quick-"));
  closing.push(() => rm(folder, { recursive: true, force: true }));
  const address = `unix:${join(folder, "s")}`;
  await using daemon = await startDaemon({ listen: [address] });
  expect(daemon.address).toBe(address);
  const { transport, seen } = watched(address);
  expect((await transport.unary("acquire", { resource: "x" }, {})).lease?.resource).toBe("x");
  expect(seen.grpc).toBe(0);
});

it("what waits in a queue, and what may be long, goes over gRPC", async () => {
  await using daemon = await startDaemon();
  const first = watched(daemon.address);
  const wait = { seconds: 1n, nanos: 0 };
  await first.transport.unary("acquire", { resource: "x", wait }, {});
  expect(first.seen.grpc).toBe(1);
  const second = watched(daemon.address);
  expect((await second.transport.unary("list", {}, {})).leases).toHaveLength(1);
  expect(second.seen.grpc).toBe(1);
});

it("what is not a daemon's own answer may have been carried out, and gRPC is asked from then on", async () => {
  const answers = [
    (socket: Socket) => socket.destroy(),
    (socket: Socket) => socket.write(Buffer.from("000000040000000000", "hex")), // SETTINGS
    (socket: Socket) => socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnope"),
    (socket: Socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"),
    (socket: Socket) => socket.end(`${OURS}content-length: 5\r\n\r\n[4,2]`),
    (socket: Socket) => socket.end(`${OURS}content-length: 9\r\n\r\n{`),
    (socket: Socket) => socket.end(`${OURS}\r\n{}`),
    (socket: Socket) => socket.end(OURS.slice(0, 6)),
    (socket: Socket) => socket.write(`HTTP/1.1 200 OK\r\nx: ${"y".repeat(2 ** 21)}`),
  ];
  for (const answer of answers) {
    const address = await listen((socket) => {
      socket.once("data", () => {
        answer(socket);
      });
    });
    const { transport, seen } = watched(address);
    const error = await refusal(transport.unary("current", { resource: "x" }, {}));
    // Not "unreachable", which says that nothing has been sent.
    expect(error).toMatchObject({
      kind: "unavailable",
      message: `${address} has ended the call without an answer`,
    });
    expect(seen.grpc).toBe(1);
  }
});

it("an answer that never comes is given up in time, and the call is taken from the daemon", async () => {
  let hasLeft = false;
  const address = await listen((socket) => {
    socket.on("data", () => undefined);
    socket.on("close", () => (hasLeft = true));
  });
  const { transport, seen } = watched(address);
  const error = await refusal(transport.unary("acquire", { resource: "x" }, { timeoutMs: 100 }));
  expect(error).toMatchObject({
    kind: "timed-out",
    message: `${address} has not answered within 100 ms`,
  });
  await expect.poll(() => hasLeft).toBe(true);
  expect(seen.grpc).toBe(0);
});

it("a client that was cut off in the middle asks again with the same lease id", async () => {
  await using daemon = await startDaemon();
  let cuts = 1;
  const heard: string[] = [];
  // Takes the daemon's answer away once, and lets nothing but gRPC through afterwards.
  const address = await listen((socket) => {
    socket.once("data", (bytes: Buffer) => {
      heard.push(bytes.toString("latin1"));
      const onward = connect(daemon.port, "127.0.0.1");
      onward.on("error", () => socket.destroy());
      onward.write(bytes);
      if (cuts-- > 0) onward.once("data", () => socket.destroy());
      else socket.pipe(onward).pipe(socket);
      socket.on("close", () => onward.destroy());
    });
  });
  const { transport, seen } = watched(address);
  const client = new UnaryClient({ transports: [transport], clock: systemClock });
  const got = await client.acquire("x", { leaseId: "the-same-id", ttlMs: 60_000 });
  expect(got).toMatchObject({ kind: "granted", lease: { leaseId: "the-same-id" } });
  expect(heard[0]).toContain("the-same-id");
  expect(heard[1]).toMatch(/^PRI \* HTTP\/2/u);
  expect(seen.grpc).toBe(1);
});
