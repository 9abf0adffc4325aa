// How the messages of a Hold stream may come in, and go out.

import { once } from "node:events";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { afterEach, beforeEach, expect, it } from "vitest";
import { HoldRequestSchema, type HoldResponse } from "../../src/gen/stormlock/v1/lock_pb.js";
import { startDaemon, type Daemon } from "./support/daemon.js";
import { grpcMessage } from "./support/raw.js";
import { RawHold, type Said } from "./support/raw-hold.js";

let daemon: Daemon;

beforeEach(async () => {
  daemon = await startDaemon();
});
afterEach(() => daemon[Symbol.asyncDispose]());

const MANY = 200;

const heartbeat = (seq: number): Said => ({
  kind: { case: "heartbeat", value: { seq: BigInt(seq) } },
});
const acquire = (resource: string, reason = ""): Said => ({
  kind: {
    case: "acquire",
    value: { resource, leaseId: `id-of-${resource}`, ttl: durationFromMs(5000), reason },
  },
});
const release = (resource: string): Said => ({
  kind: { case: "release", value: { resource, leaseId: `id-of-${resource}` } },
});

function bytesOf(message: Said): Buffer {
  return Buffer.from(toBinary(HoldRequestSchema, create(HoldRequestSchema, message)));
}

function compressed(message: Said): Buffer {
  const bytes = gzipSync(bytesOf(message));
  const head = Buffer.alloc(5);
  head[0] = 1;
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** What a stream has been answered; `until` waits for so much of one kind. */
class Answers {
  readonly all: HoldResponse["kind"][] = [];
  readonly hold: RawHold;

  constructor(headers: Readonly<Record<string, string>> = {}) {
    this.hold = new RawHold(
      daemon.address,
      (kind) => {
        this.all.push(kind);
      },
      headers,
    );
  }

  resources(kind: "granted" | "released"): string[] {
    return this.all.flatMap((each) => {
      if (each.case !== kind) return [];
      return each.case === "granted" ? [each.value.lease?.resource ?? ""] : [each.value.resource];
    });
  }

  async until(kind: "granted" | "released", count: number): Promise<void> {
    await expect.poll(() => this.resources(kind).length, { timeout: 5000 }).toBe(count);
  }
}

it("many messages in one piece are all answered, each once", async () => {
  const answers = new Answers();
  await using hold = answers.hold;
  const names = Array.from({ length: MANY }, (_, index) => `many/${String(index)}`);
  await hold.say(heartbeat(1), ...names.map((name) => acquire(name)));
  await answers.until("granted", MANY);
  expect(answers.resources("granted").sort()).toEqual([...names].sort());
  await hold.say(...names.map(release));
  await answers.until("released", MANY);
  expect(answers.resources("released").sort()).toEqual([...names].sort());
});

it.each([1, 2, 3, 5, 6, 7, 50])("messages cut into pieces of %i bytes are heard", async (size) => {
  const answers = new Answers();
  await using hold = answers.hold;
  const said = [heartbeat(1), acquire("a"), acquire("b"), release("a"), release("b")];
  const bytes = Buffer.concat(said.map((message) => grpcMessage(bytesOf(message))));
  for (let at = 0; at < bytes.length; at += size) {
    // A piece by itself: the next is written when this one is gone.
    if (!hold.stream.write(bytes.subarray(at, at + size))) await once(hold.stream, "drain");
    await new Promise((resolve) => setImmediate(resolve));
  }
  await answers.until("released", 2);
  expect(answers.resources("released").sort()).toEqual(["a", "b"]);
});

it("compressed messages are heard in their turn, between others", async () => {
  const answers = new Answers({ "grpc-encoding": "gzip" });
  await using hold = answers.hold;
  const plain = (message: Said): Buffer => grpcMessage(bytesOf(message));
  hold.stream.write(
    Buffer.concat([
      ...[plain(heartbeat(1)), plain(acquire("first")), compressed(acquire("second"))],
      ...[plain(acquire("third")), compressed(release("first"))],
    ]),
  );
  await answers.until("released", 1);
  await answers.until("granted", 3);
  hold.stream.write(Buffer.concat([compressed(release("second")), plain(release("third"))]));
  await answers.until("released", 3);
});

it("a message beyond the limit ends the stream, and releases nothing", async () => {
  const answers = new Answers();
  await using hold = answers.hold;
  const tooLong = acquire("long", "x".repeat(70_000));
  await hold.say(heartbeat(1), acquire("short"));
  await answers.until("granted", 1);
  await hold.say(heartbeat(2), tooLong);
  expect((await hold.trailers)["grpc-status"]).toBe("3");
  expect((await hold.trailers)["grpc-message"]).toContain("65536%20bytes");
  expect(await daemon.locks.isHeld({ resource: "short", leaseId: "id-of-short" })).toBe(true);
});

it("who says his last word with everything else is answered before the end", async () => {
  const answers = new Answers();
  await using hold = answers.hold;
  await hold.say(heartbeat(1), acquire("last"));
  await answers.until("granted", 1);
  await hold.say(heartbeat(2), heartbeat(3));
  await hold.end();
  expect((await hold.trailers)["grpc-status"]).toBe("0");
});
