// What crosses a wire, and comes back as it was: statuses and the words of Hold streams.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/status_pb.js";
import { HoldRequestSchema, HoldResponseSchema } from "../../src/gen/stormlock/v1/lock_pb.js";
import { LockError, type ErrorKind } from "../../src/lock/errors.js";
import type { DaemonSays, HolderSays } from "../../src/lock/hold.js";
import type { Lease } from "../../src/lock/lease.js";
import { Code } from "../../src/rpc/code.js";
import {
  daemonMessage,
  daemonSays,
  holderMessage,
  holderSays,
} from "../../src/rpc/hold-messages.js";
import { encodeStatus, fromStatus, toStatus } from "../../src/rpc/status.js";

const lease: Lease = {
  ...{ resource: "deploy/prod", leaseId: "secret-id", principal: "ann@host", token: 1n << 60n },
  ...{ ttlMs: 12_000, remainingMs: 11_999.7, createdAtUs: 1_700_000_000_123_456n },
  ...{ expiresAtUs: 1_700_000_012_000_001n, revision: 9n, reason: "why", labels: { job: "7" } },
};
const asSent: Lease = { ...lease, remainingMs: 11_999, revision: 0n };
const asShown: Lease = { ...asSent, leaseId: "" };

const KINDS: readonly ErrorKind[] = [
  ...(["lock-held", "lease-lost", "invalid-field", "not-allowed", "unreachable"] as const),
  ...(["unavailable", "overloaded", "cancelled", "timed-out", "internal"] as const),
];

describe("an error", () => {
  it.each(KINDS)("of the kind %s comes back as it was", (kind) => {
    const error = new LockError(kind, `words for ${kind}`, { field: "ttl", holder: lease });
    const { code, message, details } = toStatus(error);
    expect(code).not.toBe(Code.OK);
    const encoded = encodeStatus({ code, message, details });
    expect(Buffer.from(encoded).includes("secret-id")).toBe(false);
    const back = fromStatus(code, message, encoded, undefined);
    expect(back).toMatchObject({ kind, message: `words for ${kind}`, field: "ttl" });
    expect(back.holder).toEqual(asShown);
    expect(back.isDefinite).toBe(error.isDefinite);
  });

  it("is never definite by its code alone, whatever a library or a proxy makes up", () => {
    for (const code of Object.values(Code)) {
      for (const details of [undefined, new Uint8Array([255, 255, 255]), new Uint8Array()]) {
        expect(fromStatus(code, "made up", details, undefined).isDefinite).toBe(false);
      }
    }
  });

  it("of somebody else's is not taken for one of ours, though it uses our words", () => {
    const reason = "LOCK_HELD";
    const info = create(ErrorInfoSchema, { reason, domain: "example.com", metadata: {} });
    const details = [anyPack(ErrorInfoSchema, info)];
    const encoded = encodeStatus({ code: Code.ALREADY_EXISTS, message: "", details });
    expect(fromStatus(Code.ALREADY_EXISTS, "", encoded, undefined).isDefinite).toBe(false);
  });

  it("of a reset stream is asked again, and of a connection that never was is known to be that", () => {
    const kindOf = (code: number, message: string) =>
      fromStatus(code, message, undefined, undefined).kind;
    expect(kindOf(Code.INTERNAL, "Received RST_STREAM with code 2")).toBe("unavailable");
    expect(kindOf(Code.UNKNOWN, "h2 protocol error")).toBe("unavailable");
    expect(kindOf(Code.UNAVAILABLE, "No connection established. Last error: …")).toBe(
      "unreachable",
    );
    expect(kindOf(Code.UNIMPLEMENTED, "no such method")).toBe("internal");
  });
});

const HOLDER: readonly HolderSays[] = [
  {
    ...{ kind: "acquire", resource: "deploy/prod", leaseId: "id", principal: "ann" },
    ...{ ttlMs: 12_000, waitMs: 2500, reason: "why", labels: { job: "7" } },
  },
  {
    ...{ kind: "acquire", resource: "deploy/prod", leaseId: "id", principal: "" },
    ...{ ttlMs: undefined, waitMs: Infinity, reason: "", labels: {} },
  },
  { kind: "resume", resource: "deploy/prod", leaseId: "id" },
  { kind: "release", resource: "deploy/prod", leaseId: "id" },
  { kind: "heartbeat", seq: 2 ** 53 - 1 },
];

const DAEMON: readonly DaemonSays[] = [
  { kind: "queued", resource: "r", position: 3, holder: asShown, ttlMs: 12_000 },
  { kind: "queued", resource: "r", position: 1, holder: undefined, ttlMs: 1000 },
  { kind: "granted", lease: asSent, seq: 4, validForMs: 12_500 },
  ...(
    [
      "lock-held",
      "lease-lost",
      "invalid-field",
      "not-allowed",
      "unavailable",
      "already-on-stream",
    ] as const
  ).map((reason): DaemonSays => {
    return { kind: "denied", resource: "r", leaseId: "id", reason, message: "m", holder: asShown };
  }),
  {
    ...{ kind: "heartbeat-ack", seq: 5, validShare: 0.7512 },
    behind: [{ leaseId: "id", validForMs: 0 }],
  },
  ...(["not-held", "expired", "resumed-elsewhere"] as const).map((cause): DaemonSays => {
    return { kind: "lost", resource: "r", leaseId: "id", cause };
  }),
  { kind: "released", resource: "r", leaseId: "id", outcome: "released" },
  { kind: "released", resource: "r", leaseId: "id", outcome: "not-held" },
  { kind: "draining", resumeWithinMs: 3000 },
];

const fromHolder = (says: HolderSays) =>
  holderSays(fromBinary(HoldRequestSchema, toBinary(HoldRequestSchema, holderMessage(says))));
const fromDaemon = (says: DaemonSays) =>
  daemonSays(fromBinary(HoldResponseSchema, toBinary(HoldResponseSchema, daemonMessage(says))));

describe("what is said on a Hold stream", () => {
  it.each(HOLDER)("by a holder comes to the daemon as it was said: %j", (says) => {
    expect(fromHolder(says)).toEqual(says);
  });

  it.each(DAEMON.map((says) => [says.kind, says] as const))(
    "by a daemon comes to the holder as it was said: %s",
    (_kind, says) => {
      expect(fromDaemon(says)).toEqual(says);
    },
  );

  it("crosses in whole milliseconds, never in more of them than there are", () => {
    const seen = fromDaemon({ kind: "granted", lease, seq: 1, validForMs: 999.9999 });
    expect(seen).toMatchObject({ validForMs: 999, lease: { remainingMs: 11_999 } });
    const behind = [{ leaseId: "id", validForMs: 1 / 3 }];
    expect(fromDaemon({ kind: "heartbeat-ack", seq: 1, validShare: 1, behind })).toMatchObject({
      behind: [{ validForMs: 0 }],
    });
    expect(fromDaemon({ kind: "draining", resumeWithinMs: 1000 / 3 })).toMatchObject({
      resumeWithinMs: 333,
    });
    const [acquire] = HOLDER;
    const odd = { ...acquire, ttlMs: 1000 / 3, waitMs: 1000 / 3 } as HolderSays;
    expect(fromHolder(odd)).toMatchObject({ ttlMs: 333, waitMs: 334 });
    expect(() => holderMessage({ ...acquire, ttlMs: NaN } as HolderSays)).toThrow("ttl NaNms");
  });

  it("shows no lease id to those who are not its holder", () => {
    const secret: DaemonSays[] = [
      { kind: "queued", resource: "r", position: 1, holder: lease, ttlMs: 1000 },
      {
        ...{ kind: "denied", resource: "r", leaseId: "id", reason: "lock-held", message: "" },
        holder: lease,
      },
    ];
    for (const says of secret) {
      const bytes = toBinary(HoldResponseSchema, daemonMessage(says));
      expect(Buffer.from(bytes).includes("secret-id")).toBe(false);
    }
  });

  it("is refused when it says nothing, and passed over when it is from a newer daemon", () => {
    expect(() => holderSays(fromBinary(HoldRequestSchema, new Uint8Array()))).toThrow(
      expect.objectContaining({ kind: "invalid-field", field: "kind" }) as Error,
    );
    expect(daemonSays(fromBinary(HoldResponseSchema, new Uint8Array()))).toBeUndefined();
  });
});
