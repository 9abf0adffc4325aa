// The short way from a daemon's words to bytes, held against the long one.

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { HoldResponseSchema } from "../../src/gen/stormlock/v1/lock_pb.js";
import type { DaemonSays } from "../../src/lock/hold.js";
import type { Lease } from "../../src/lock/lease.js";
import { daemonMessage } from "../../src/rpc/hold-messages.js";
import { framesOf } from "../../src/rpc/hold-wire.js";

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

  it("goes to no other holder when it could not be written", () => {
    const ack: DaemonSays = { kind: "heartbeat-ack", seq: 1, validShare: 1, behind: [] };
    const clean = framesOf([ack]);
    const impossible: DaemonSays = {
      ...{ kind: "queued", resource: "x", position: -1, holder: undefined, ttlMs: 1 },
    };
    const secret: DaemonSays = { kind: "granted", lease: someLease(), seq: 1, validForMs: 1 };
    expect(() => framesOf([impossible, secret])).toThrow();
    expect(framesOf([ack])).toEqual(clean);
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
