import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, connect as dial } from "node:net";
import { request } from "node:http";
import { fork } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listen } from "../../src/rpc/listener.js";
import { startDaemon } from "./support/daemon.js";
import { StockClient } from "./support/stock-client.js";

const { status } = grpc;

describe("an address that cannot be listened on is named in one line", () => {
  it("a port in use", async () => {
    await using daemon = await startDaemon();
    const again = startDaemon({ listen: [daemon.address] });
    await expect(again).rejects.toMatchObject({
      kind: "unavailable",
      message: `${daemon.address} is in use: another program listens there; stop it, or listen elsewhere`,
    });
  });

  it.each([
    ["no.such.host.invalid:7420", /no\.such\.host\.invalid is not known/u],
    ["192.0.2.1:0", /192\.0\.2\.1:0: is no address of this machine/u],
    ["nonsense:port", /"nonsense:port" is no address: expected HOST/u],
    ["unix:/no/such/directory/x.sock", /its directory does not exist/u],
    [`unix:/${"long/".repeat(40)}`, /a shorter path/u],
  ])("%s", async (address, message) => {
    await expect(startDaemon({ listen: [address], insecure: true })).rejects.toMatchObject({
      kind: "invalid-field",
      field: "listen",
      message: expect.stringMatching(message) as string,
    });
  });

  it.each(["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])(
    "%s, which others can reach, unless that is meant",
    async (address) => {
      const refused = startDaemon({ listen: [address] });
      await expect(refused).rejects.toMatchObject({ kind: "invalid-field", field: "listen" });
      await expect(refused).rejects.toThrow(/client CA.*127\.0\.0\.1.*--insecure/u);
      await expect(startDaemon({ http: [address] })).rejects.toThrow(/--insecure/u);
    },
  );

  it("and none that was opened before it stays open", async () => {
    await using blocker = await startDaemon();
    const probe = createServer();
    const port = await new Promise<number>((resolve) => {
      probe.listen(0, "127.0.0.1", () => {
        resolve((probe.address() as { port: number }).port);
      });
    });
    await new Promise((resolve) => probe.close(resolve));
    const free = `127.0.0.1:${String(port)}`;
    await expect(startDaemon({ listen: [free, blocker.address] })).rejects.toThrow();
    await using daemon = await startDaemon({ listen: [free] });
    expect(daemon.address).toBe(free);
  });
});

describe("connections", () => {
  it("beyond the limit are not taken, and that is told", async () => {
    let dropped = 0;
    await using listener = await listen({
      ...{ address: "127.0.0.1:0", mayBePublic: false, tls: undefined, mostConnections: 2 },
      onDrop: () => (dropped += 1),
      onConnection: () => undefined,
    });
    const { port } = listener.address as { port: number };
    const sockets = Array.from({ length: 5 }, () =>
      dial({ port, host: "127.0.0.1" }).on("error", () => undefined),
    );
    await expect.poll(() => dropped).toBe(3);
    expect(listener.connections).toBe(2);
    for (const socket of sockets) socket.destroy();
  });

  it("that were not taken are counted", async () => {
    await using daemon = await startDaemon();
    const metrics = await (await fetch(`http://${daemon.address}/metrics`)).text();
    expect(metrics).toContain("stormlock_connections_dropped_total 0\n");
  });
});

describe("addresses", () => {
  it("0.0.0.0 is listened on when that is meant", async () => {
    await using daemon = await startDaemon({ listen: ["0.0.0.0:0"], insecure: true });
    await using client = new StockClient(`127.0.0.1:${String(daemon.port)}`);
    expect(await client.call("current", { resource: "x" })).toMatchObject({ code: status.OK });
  });

  it("[::1] and localhost are loopback", async () => {
    await using daemon = await startDaemon({ listen: ["[::1]:0", "localhost:0"] });
    expect(daemon.address).toMatch(/^\[::1\]:[0-9]+$/u);
    await using client = new StockClient(daemon.address);
    expect(await client.call("current", { resource: "x" })).toMatchObject({ code: status.OK });
  });
});

describe("a unix socket", () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "stormlock-"));
    path = join(directory, "s.sock");
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  it("serves both doors, is for owner and group alone, and is gone at the end", async () => {
    const daemon = await startDaemon({ listen: [`unix:${path}`] });
    expect(daemon.address).toBe(`unix:${path}`);
    expect(statSync(path).mode & 0o777).toBe(0o660);
    const client = new StockClient(`unix:${path}`);
    expect(await client.call("acquire", { resource: "x" })).toMatchObject({ code: status.OK });
    const answer = await new Promise<number | undefined>((resolve, reject) => {
      request({ socketPath: path, path: "/healthz", agent: false }, ({ statusCode }) => {
        resolve(statusCode);
      })
        .on("error", reject)
        .end();
    });
    expect(answer).toBe(200);
    await client[Symbol.asyncDispose]();
    await daemon[Symbol.asyncDispose]();
    expect(existsSync(path)).toBe(false);
  });

  it("of a dead daemon is replaced", async () => {
    const script = join(directory, "die.mjs");
    writeFileSync(
      script,
      `import net from "node:net"; net.createServer().listen(process.argv[2], () => process.kill(process.pid, "SIGKILL"));`,
    );
    const child = fork(script, [path]);
    await new Promise((resolve) => child.once("exit", resolve));
    expect(existsSync(path)).toBe(true);
    await using daemon = await startDaemon({ listen: [`unix:${path}`] });
    await using client = new StockClient(daemon.address);
    expect(await client.call("current", { resource: "x" })).toMatchObject({ code: status.OK });
  });

  it("of a live daemon is in use, and goes on working", async () => {
    await using daemon = await startDaemon({ listen: [`unix:${path}`] });
    await expect(startDaemon({ listen: [`unix:${path}`] })).rejects.toMatchObject({
      kind: "unavailable",
      message: expect.stringContaining(`unix:${path} is in use`) as string,
    });
    await using client = new StockClient(daemon.address);
    expect(await client.call("current", { resource: "x" })).toMatchObject({ code: status.OK });
  });

  it("never replaces a file of another kind", async () => {
    writeFileSync(path, "precious");
    await expect(startDaemon({ listen: [`unix:${path}`] })).rejects.toThrow(/another kind/u);
    expect(existsSync(path)).toBe(true);
  });
});
