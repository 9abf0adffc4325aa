import * as grpc from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { startDaemon } from "./support/daemon.js";
import { bytesInUse, MIB } from "./support/memory-use.js";
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

describe("many at once", () => {
  it("ten thousand wait on four connections, and nothing is left when they have gone", async () => {
    await using daemon = await startDaemon();
    const clients = Array.from({ length: 4 }, () => new StockClient(daemon.address));
    const [first] = clients;
    for (let at = 0; at < 10; at++) {
      await first?.call("acquire", {
        resource: `r-${String(at)}`,
        lease_id: `holder-${String(at)}`,
      });
    }
    const before = await bytesInUse();
    const waits = [];
    while (waits.length < 10_000) {
      // So many at a time that this machine, however busy, is not overloaded.
      for (let at = 0; at < 500; at++) {
        const resource = `r-${String(at % 10)}`;
        const client = clients[at % clients.length];
        if (client === undefined) throw new Error("there are clients");
        waits.push(client.begin("acquire", { resource, wait: { seconds: 600 } }));
      }
      await expect.poll(() => daemon.locks.waiters, { timeout: 20_000 }).toBe(waits.length);
    }
    const during = await bytesInUse();

    // Others go on with their work beside them, on the same connection.
    const name = { resource: "other", lease_id: "other" };
    expect(await first?.call("acquire", name)).toMatchObject({ code: status.OK });
    expect(await first?.call("release", name)).toMatchObject({ code: status.OK });

    for (const wait of waits) wait.cancel();
    const answers = await Promise.all(waits.map(({ answer }) => answer));
    expect(new Set(answers.map(({ code }) => code))).not.toContain(status.OK);
    await expect.poll(() => daemon.locks.waiters, { timeout: 10_000 }).toBe(0);
    waits.length = 0;
    answers.length = 0;
    for (const client of clients) await client[Symbol.asyncDispose]();
    // Both ends are in this process: what a wait costs is shared by two.
    expect((during - before) / 10_000).toBeLessThan(40 * 1024);
    await expect.poll(bytesInUse, { timeout: 10_000 }).toBeLessThan(before + 20 * MIB);
  });

  it("twenty thousand calls that are reset at once cost nothing that lasts", async () => {
    await using daemon = await startDaemon();
    await using witness = new StockClient(daemon.address);
    await witness.call("acquire", { resource: "x", lease_id: "witness", ttl: { seconds: 60 } });
    const before = await bytesInUse();
    const request = grpcMessage(Buffer.from("\n\u0001y*\u0002\u0008\u003c")); // waits for a minute
    let sent = 0;
    while (sent < 20_000) {
      await using client = new Raw(daemon.port);
      await client.send(PREFACE);
      for (let at = 0; at < 2000 && !client.socket.destroyed; at += 50) {
        const flood = Array.from({ length: 50 }, (_, index) => {
          const stream = (at + index) * 2 + 1;
          return Buffer.concat([
            frame(FRAME.headers, END_HEADERS, stream, callHeaders("Acquire")),
            frame(FRAME.data, END_STREAM, stream, request),
            resetFrame(stream),
          ]);
        });
        await client.send(...flood);
      }
      sent += 2000;
      expect(await witness.call("isHeld", { resource: "x", lease_id: "witness" })).toMatchObject({
        code: status.OK,
        message: { held: true },
      });
    }
    await expect.poll(() => daemon.locks.waiters).toBe(0);
    daemon.log.length = 0;
    await expect.poll(bytesInUse, { timeout: 10_000 }).toBeLessThan(before + 20 * MIB);
  });
});
