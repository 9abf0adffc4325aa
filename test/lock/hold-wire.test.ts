// The short way between bytes and the words of a Hold stream, held against the long one.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { HoldRequestSchema, HoldResponseSchema } from "../../src/gen/stormlock/v1/lock_pb.js";
import type { DaemonSays, HolderSays } from "../../src/lock/hold.js";
import type { Lease } from "../../src/lock/lease.js";
import { daemonMessage, holderMessage, holderSays } from "../../src/rpc/hold-messages.js";
import { framesOf, readHolderSays } from "../../src/rpc/hold-wire.js";

const ROUNDS = 2000;

// Repeatable: the same worlds in every run.
let state = 42;
function random(): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return state / 2 ** 32;
}
const below = (limit: number): number => Math.floor(random() * limit);
function pick<T>(all: readonly T[]): T {
  return all[below(all.length)] as T;
}

const NUMBERS = [0, 1, 127, 128, 999, 1000, 1001, 16_383, 16_384, 60_000, 2 ** 31, 2 ** 53 - 1];
const TEXTS = [
  ...["", "a", "deploy/prod", "é", "名前".repeat(30), "\u{1f512}", "x".repeat(63), "y".repeat(64)],
  ...["z".repeat(65), "w".repeat(200), "\u007f", "\u0080", "half \ud800 pair"],
];
const LABELS = [{}, {}, {}, { job: "7" }];

function someLease(): Lease {
  return {
    ...{ resource: pick(TEXTS), leaseId: pick(TEXTS), principal: pick(TEXTS), reason: pick(TEXTS) },
    token: pick([0n, 1n, 1_700_000_000_123_456n, 2n ** 53n, 2n ** 64n - 1n]),
    ...{ ttlMs: pick(NUMBERS.slice(0, -1)), remainingMs: random() * 100_000 },
    createdAtUs: pick([0n, 999_999n, 1_700_000_000_123_456n]),
    ...{ expiresAtUs: 1_700_000_012_000_001n, revision: 9n, labels: pick(LABELS) },
  };
}

function someAnswer(): DaemonSays {
  const name = { resource: pick(TEXTS), leaseId: pick(TEXTS) };
  const seq = pick(NUMBERS);
  switch (below(5)) {
    case 0:
      return { kind: "granted", lease: someLease(), seq, validForMs: random() * 100_000 };
    case 1: {
      const behind = random() < 0.5 ? [] : [{ leaseId: "late", validForMs: 7 }];
      return { kind: "heartbeat-ack", seq, validShare: pick([0, 1, random()]), behind };
    }
    case 2:
      return { kind: "released", ...name, outcome: pick(["released", "not-held"]) };
    case 3:
      return { kind: "lost", ...name, cause: "expired" };
    default:
      return { kind: "queued", resource: name.resource, position: 3, holder: undefined, ttlMs: 9 };
  }
}

function someAsk(): HolderSays {
  const name = { resource: pick(TEXTS), leaseId: pick(TEXTS) };
  switch (below(4)) {
    case 0: {
      const ttlMs = pick([undefined, 0, 1, 1000, 30_500]);
      const waitMs = pick([Infinity, 0, 1, 90_000]);
      const who = { principal: pick(TEXTS), reason: pick(TEXTS), labels: pick(LABELS) };
      return { kind: "acquire", ...name, ttlMs, waitMs, ...who };
    }
    case 1:
      return { kind: "resume", ...name };
    case 2:
      return { kind: "release", ...name };
    default:
      return { kind: "heartbeat", seq: pick(NUMBERS) };
  }
}

function readLong(bytes: Uint8Array): HolderSays {
  return holderSays(fromBinary(HoldRequestSchema, bytes));
}

describe("what a daemon says", () => {
  it("is the same bytes by the short way and by the long one, however much goes together", () => {
    for (let round = 0; round < ROUNDS; round++) {
      const all = Array.from({ length: below(6) }, someAnswer);
      const long = all.map((says) => {
        const message = toBinary(HoldResponseSchema, daemonMessage(says));
        const head = Buffer.alloc(5);
        head.writeUInt32BE(message.length, 1);
        return Buffer.concat([head, message]);
      });
      expect(framesOf(all).toString("hex")).toBe(Buffer.concat(long).toString("hex"));
    }
  });

  it("may be longer than what has room at first", () => {
    const holder = { ...someLease(), principal: "ü".repeat(60_000), labels: {} };
    const granted: DaemonSays = { kind: "granted", lease: holder, seq: 1, validForMs: 1 };
    for (let round = 0; round < 3; round++) {
      const bytes = framesOf([granted, granted, granted]);
      const one = bytes.subarray(5, 5 + bytes.readUInt32BE(1));
      const { kind } = fromBinary(HoldResponseSchema, one);
      expect(kind.case === "granted" && kind.value.lease?.principal).toBe(holder.principal);
      expect(bytes.length).toBe(3 * (one.length + 5));
    }
  });
});

describe("what a holder says", () => {
  it("is the same words by the short way and by the long one, wherever it stands", () => {
    let short = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const bytes = toBinary(HoldRequestSchema, holderMessage(someAsk()));
      const before = Buffer.alloc(below(3), 0x0a);
      const around = Buffer.concat([before, bytes, Buffer.alloc(below(3), 0x0a)]);
      const read = readHolderSays(around, before.length, before.length + bytes.length);
      if (read === undefined) continue;
      short += 1;
      expect(read).toEqual(readLong(bytes));
    }
    expect(short).toBeGreaterThan(ROUNDS / 4);
  });

  it("is never read differently by the short way, whatever the bytes are", () => {
    let short = 0;
    for (let round = 0; round < 20 * ROUNDS; round++) {
      const bytes = Buffer.from(toBinary(HoldRequestSchema, holderMessage(someAsk())));
      for (let change = 0; change <= below(2); change++) {
        if (bytes.length > 0) bytes[below(bytes.length)] = pick([below(256), 0x80, 0xff, 0]);
      }
      const cut = random() < 0.2 ? bytes.subarray(0, below(bytes.length + 1)) : bytes;
      const read = readHolderSays(cut, 0, cut.length);
      if (read === undefined) continue;
      short += 1;
      expect(read, cut.toString("hex")).toEqual(readLong(cut));
    }
    expect(short).toBeGreaterThan(ROUNDS);
  });

  it("is left to the long way where two of one field would be merged", () => {
    const ttl = Buffer.from("22020801", "hex");
    const nanos = Buffer.from("22021064", "hex");
    const fields = Buffer.concat([ttl, nanos]);
    const bytes = Buffer.concat([Buffer.from([0x0a, fields.length]), fields]);
    expect(readLong(bytes)).toMatchObject({ ttlMs: 1000 });
    expect(readHolderSays(bytes, 0, bytes.length)).toBeUndefined();
    expect(create(HoldRequestSchema).kind.case).toBeUndefined();
  });
});
