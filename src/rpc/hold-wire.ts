// The same as hold-messages.ts, straight between bytes and the domain's words, for what is said
// most: on a busy stream, making and reading messages field by field through their descriptors
// costs more than all the rest. What is rare, or not as it should be, goes the long way.

import { toBinary } from "@bufbuild/protobuf";
import { HoldResponseSchema, ReleaseOutcome } from "../gen/stormlock/v1/lock_pb.js";
import type { DaemonSays, HolderSays } from "../lock/hold.js";
import type { Lease } from "../lock/lease.js";
import { BackwardWriter } from "./backward-writer.js";
import { daemonMessage } from "./hold-messages.js";

const writer = new BackwardWriter();

/** What a daemon says, each as one message of gRPC's, one after the other. */
export function framesOf(all: readonly DaemonSays[]): Buffer {
  for (let index = all.length - 1; index >= 0; index--) {
    const says = all[index];
    if (says === undefined) continue;
    const mark = writer.written;
    if (!writeShort(says)) writer.raw(toBinary(HoldResponseSchema, daemonMessage(says)));
    writer.frame(mark);
  }
  return writer.take();
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

/**
 * What a holder has sent, from these bytes of a buffer; undefined where it has to be read the long
 * way.
 */
export function readHolderSays(bytes: Buffer, from: number, to: number): HolderSays | undefined {
  const tag = bytes[from];
  reader.begin(bytes, from + 1, to);
  const length = reader.varint();
  if (reader.at + length !== to) return undefined; // more than one field, or less
  switch (tag ?? 0) {
    case 0x0a:
      return readAcquire();
    case 0x12:
      return readName("resume");
    case 0x1a:
      return readName("release");
    case 0x22:
      return readHeartbeat();
    default:
      return undefined;
  }
}

function readAcquire(): HolderSays | undefined {
  let resource = "";
  let leaseId = "";
  let principal = "";
  let ttlMs: number | undefined;
  let waitMs = Infinity;
  let reason = "";
  while (reader.isMore) {
    switch (reader.byte()) {
      case 0x0a:
        resource = reader.string();
        break;
      case 0x12:
        leaseId = reader.string();
        break;
      case 0x1a:
        principal = reader.string();
        break;
      case 0x22:
        if (ttlMs !== undefined) return undefined; // protobuf merges the two
        ttlMs = reader.ms();
        break;
      case 0x2a:
        if (waitMs !== Infinity) return undefined;
        waitMs = reader.ms();
        break;
      case 0x32:
        reason = reader.string();
        break;
      default:
        return undefined; // labels, and what is not known here
    }
  }
  if (reader.isOdd) return undefined;
  return { kind: "acquire", resource, leaseId, principal, ttlMs, waitMs, reason, labels: NONE };
}

function readName(kind: "resume" | "release"): HolderSays | undefined {
  let resource = "";
  let leaseId = "";
  while (reader.isMore) {
    const tag = reader.byte();
    if (tag === 0x0a) resource = reader.string();
    else if (tag === 0x12) leaseId = reader.string();
    else return undefined;
  }
  return reader.isOdd ? undefined : { kind, resource, leaseId };
}

function readHeartbeat(): HolderSays | undefined {
  let seq = 0;
  while (reader.isMore) {
    if (reader.byte() !== 0x08) return undefined;
    seq = reader.varint();
  }
  return reader.isOdd ? undefined : { kind: "heartbeat", seq };
}

const NONE: Readonly<Record<string, string>> = Object.freeze({});

/** Reads the fields of one message. Whatever is not plain makes it odd, and worth nothing. */
class PlainReader {
  at = 0;
  #bytes: Buffer = Buffer.alloc(0);
  #to = 0;
  #isOdd = false;

  begin(bytes: Buffer, at: number, to: number): void {
    this.#bytes = bytes;
    this.at = at;
    this.#to = to;
    this.#isOdd = false;
  }

  get isMore(): boolean {
    return this.at < this.#to && !this.#isOdd;
  }

  /** Whether something was not plain: then what has been read is not to be used. */
  get isOdd(): boolean {
    return this.#isOdd || this.at !== this.#to;
  }

  byte(): number {
    return this.#bytes[this.at++] ?? 0;
  }

  /** A whole number up to 2^53. */
  varint(): number {
    let value = 0;
    for (let factor = 1; this.at < this.#to; factor *= 0x80) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
    }
    this.#isOdd = true;
    return 0;
  }

  /** A text of ASCII alone. */
  string(): string {
    const end = this.varint() + this.at;
    if (end > this.#to) this.#isOdd = true;
    if (this.#isOdd) return "";
    for (let at = this.at; at < end; at++) {
      if ((this.#bytes[at] ?? 0) >= 0x80) {
        this.#isOdd = true;
        return "";
      }
    }
    const text = this.#bytes.toString("latin1", this.at, end);
    this.at = end;
    return text;
  }

  /** A google.protobuf.Duration that is not negative, in ms. */
  ms(): number {
    const end = this.varint() + this.at;
    if (end > this.#to) this.#isOdd = true;
    let seconds = 0;
    let nanos = 0;
    while (this.at < end && !this.#isOdd) {
      const tag = this.byte();
      if (tag === 0x08) seconds = this.varint();
      else if (tag === 0x10) nanos = this.varint();
      else this.#isOdd = true;
    }
    if (this.at !== end || nanos >= 1_000_000_000) this.#isOdd = true;
    return seconds * 1000 + Math.round(nanos / 1_000_000);
  }
}

const reader = new PlainReader();
