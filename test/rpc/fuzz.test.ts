import * as grpc from "@grpc/grpc-js";
import { expect, it } from "vitest";
import { startDaemon } from "./support/daemon.js";
import { Dice } from "./support/dice.js";
import {
  callHeaders,
  END_HEADERS,
  frame,
  FRAME,
  grpcMessage,
  headers,
  PREFACE,
  Raw,
} from "./support/raw.js";
import { StockClient } from "./support/stock-client.js";

const FUZZ_MS = process.env["STORMLOCK_LONG"] === "1" ? 60_000 : 20_000;
const METHODS = ["Acquire", "Renew", "Release", "Current", "IsHeld", "List", "Hold", ""];

// Well-formed on the outside more often than not, so that the inside is reached too.
function http2Bytes(dice: Dice): Buffer {
  const parts: Buffer[] = dice.roll(20) === 0 ? [] : [PREFACE];
  for (let count = dice.roll(30); count >= 0; count--) {
    const stream = dice.roll(4) === 0 ? dice.roll(2 ** 31) : dice.roll(20);
    switch (dice.roll(8)) {
      case 0:
        parts.push(dice.bytes(200));
        break;
      case 1:
        parts.push(frame(dice.roll(12), dice.roll(256), stream, dice.bytes(100)));
        break;
      case 2:
        parts.push(frame(FRAME.data, dice.roll(2), stream, dice.bytes(300)));
        break;
      case 3:
        parts.push(frame(FRAME.data, dice.roll(2), stream, grpcMessage(dice.bytes(300))));
        break;
      case 4:
        parts.push(frame(FRAME.rst, 0, stream, Buffer.from([0, 0, 0, dice.roll(16)])));
        break;
      case 5: {
        const junk = { [`x-${String(dice.roll(9))}`]: dice.bytes(60).toString("latin1") };
        parts.push(frame(FRAME.headers, END_HEADERS | dice.roll(2), stream, headers(junk)));
        break;
      }
      default: {
        const method = METHODS[dice.roll(METHODS.length)] ?? "";
        const block = callHeaders(method, dice.roll(3) === 0 ? { ":path": "/x/y" } : {});
        parts.push(frame(FRAME.headers, END_HEADERS | dice.roll(2), stream * 2 + 1, block));
      }
    }
  }
  return damaged(Buffer.concat(parts), dice);
}

function http1Bytes(dice: Dice): Buffer {
  const parts: Buffer[] = [];
  for (let count = dice.roll(4); count >= 0; count--) {
    const method = dice.pick(["GET", "POST", "PUT", "OPTIONS", "HEAD", "CONNECT", "PRI", "\0"]);
    const path = dice.pick([
      "/healthz",
      "/readyz",
      "/metrics",
      `/stormlock.v1.LockService/${METHODS[dice.roll(METHODS.length)] ?? ""}`,
      `/${dice.bytes(20).toString("latin1")}`,
      "*",
      "//",
      "http://[",
    ]);
    const type = dice.pick([
      "application/json",
      "application/proto",
      "application/grpc-web+proto",
      "x",
    ]);
    const body = dice.roll(2) === 0 ? dice.bytes(300) : Buffer.from('{"resource":"x","wait":"1s"}');
    const length = dice.roll(5) === 0 ? dice.roll(100_000) : body.length;
    const framing =
      dice.roll(4) === 0 ? "transfer-encoding: chunked" : `content-length: ${String(length)}`;
    const host = dice.roll(4) === 0 ? dice.bytes(20).toString("latin1") : "localhost";
    parts.push(
      Buffer.from(
        `${method} ${path} HTTP/1.${String(dice.roll(2))}\r\nhost: ${host}\r\n`,
        "latin1",
      ),
    );
    parts.push(Buffer.from(`content-type: ${type}\r\n${framing}\r\n\r\n`), body);
  }
  return damaged(Buffer.concat(parts), dice);
}

function damaged(bytes: Buffer, dice: Dice): Buffer {
  if (dice.roll(2) === 0) return bytes;
  for (let count = dice.roll(5); count >= 0 && bytes.length > 0; count--) {
    bytes[dice.roll(bytes.length)] = dice.roll(256);
  }
  return bytes.subarray(0, dice.roll(bytes.length + 1));
}

it(
  "whatever bytes strangers send, a healthy client goes on working",
  { timeout: FUZZ_MS + 30_000 },
  async () => {
    await using daemon = await startDaemon();
    const seed = Number(process.env["STORMLOCK_SEED"] ?? Date.now() % 2 ** 31);
    const dice = new Dice(seed);
    const until = performance.now() + FUZZ_MS;
    const attack = async (): Promise<number> => {
      let count = 0;
      for (; performance.now() < until; count++) {
        await using stranger = new Raw(daemon.port);
        await stranger.send(dice.roll(2) === 0 ? http2Bytes(dice) : http1Bytes(dice));
        if (dice.roll(3) === 0) stranger.socket.resetAndDestroy();
        else await new Promise((resolve) => setTimeout(resolve, dice.roll(10)));
      }
      return count;
    };
    const work = async (): Promise<number> => {
      await using client = new StockClient(daemon.address);
      let count = 0;
      for (; performance.now() < until; count++) {
        const name = { resource: "healthy", lease_id: `healthy-${String(count)}` };
        const told = `seed ${String(seed)}, call ${String(count)}`;
        expect(await client.call("acquire", name), told).toMatchObject({ code: grpc.status.OK });
        expect(await client.call("release", name), told).toMatchObject({
          message: { outcome: "RELEASE_OUTCOME_RELEASED" },
        });
      }
      return count;
    };
    const [worked, ...attacked] = await Promise.all([work(), ...Array.from({ length: 8 }, attack)]);
    expect(worked).toBeGreaterThan(50);
    expect(attacked.reduce((sum, count) => sum + count)).toBeGreaterThan(500);
    await expect.poll(() => daemon.locks.waiters, { timeout: 5000 }).toBe(0);
    // Whatever is half-open and half-asked, Hold streams that fell silent included, the end comes.
    const drainedAt = performance.now();
    await daemon[Symbol.asyncDispose]();
    expect(performance.now() - drainedAt).toBeLessThan(11_000);
  },
);
