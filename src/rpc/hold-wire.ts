// A daemon's words straight to bytes, for those that are said most: on a busy stream, to make
// messages and write them field by field through their descriptors is a quarter of all work. What is
// said seldom goes the long way (hold-messages.ts), and so does everything that is read: the bytes of
// strangers are left to the library.

import { toBinary } from "@bufbuild/protobuf";
import { HoldResponseSchema, ReleaseOutcome } from "../gen/stormlock/v1/lock_pb.js";
import type { DaemonSays } from "../lock/hold.js";
import type { Lease } from "../lock/lease.js";
import { BackwardWriter } from "./backward-writer.js";
import { daemonMessage } from "./hold-messages.js";

const writer = new BackwardWriter();

/**
 * What a daemon says, each as one message of gRPC's, one after the other.
 * @throws whatever cannot be written; nothing of it stays for the next who writes
 */
export function framesOf(all: readonly DaemonSays[]): Buffer {
  try {
    for (let index = all.length - 1; index >= 0; index--) {
      const says = all[index];
      if (says === undefined) continue;
      const mark = writer.written;
      if (!writeShort(says)) writer.raw(toBinary(HoldResponseSchema, daemonMessage(says)));
      writer.frame(mark);
    }
    return writer.take();
  } catch (thrown) {
    writer.clear();
    throw thrown;
  }
}

// Field numbers are those of lock.proto; the tests compare with the long way.
function writeShort(says: DaemonSays): boolean {
  const mark = writer.written;
  switch (says.kind) {
    case "granted": {
      const { lease, seq, validForMs } = says;
      if (!isShort(lease)) return false;
      writeMs(3, validForMs);
      writer.uint(2, seq);
      writeLease(1, lease);
      writer.message(2, mark);
      return true;
    }
    case "heartbeat-ack":
      if (says.behind.length > 0) return false;
      writer.double(2, says.validShare);
      writer.uint(1, says.seq);
      writer.message(4, mark);
      return true;
    case "released": {
      const isReleased = says.outcome === "released";
      writer.uint(3, isReleased ? ReleaseOutcome.RELEASED : ReleaseOutcome.NOT_HELD);
      writer.string(2, says.leaseId);
      writer.string(1, says.resource);
      writer.message(6, mark);
      return true;
    }
    case "queued":
    case "denied":
    case "lost":
    case "draining":
      return false;
  }
}

function isShort({ token, labels }: Lease): boolean {
  for (const key in labels) if (Object.hasOwn(labels, key)) return false;
  return token <= Number.MAX_SAFE_INTEGER;
}

function writeLease(field: number, lease: Lease): void {
  const mark = writer.written;
  writer.string(9, lease.reason);
  writeMs(8, lease.remainingMs);
  writeMs(7, lease.ttlMs);
  writeUs(6, lease.expiresAtUs);
  writeUs(5, lease.createdAtUs);
  writer.uint(4, Number(lease.token));
  writer.string(3, lease.principal);
  writer.string(2, lease.leaseId);
  writer.string(1, lease.resource);
  writer.message(field, mark);
}

function writeMs(field: number, ms: number): void {
  const wholeMs = Math.max(0, Math.floor(ms));
  const mark = writer.written;
  writer.uint(2, (wholeMs % 1000) * 1_000_000);
  writer.uint(1, Math.floor(wholeMs / 1000));
  writer.message(field, mark);
}

function writeUs(field: number, us: bigint): void {
  const whole = Number(us);
  const mark = writer.written;
  writer.uint(2, (whole % 1_000_000) * 1000);
  writer.uint(1, Math.floor(whole / 1_000_000));
  writer.message(field, mark);
}
