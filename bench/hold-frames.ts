// What is said on a Hold stream, as bytes, so that a client that shares the machine with its
// server costs as little as it can: messages are encoded once and patched, and of what comes back
// no more is read than what it is and which resource it is about.

import { create, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { HoldRequestSchema, type HoldRequest } from "../src/gen/stormlock/v1/lock_pb.js";
import { callHeaders, frame } from "./grpc-call.js";

const HEAD_BYTES = 5;
const ID_CHARS = 32;
const COUNT_CHARS = 12;
const NUMBER_CHARS = 6;

/** What opens a Hold stream. */
export const HOLD_HEADERS = callHeaders("/stormlock.v1.LockService/Hold");

type Says = Exclude<HoldRequest["kind"], { case: undefined }>;

function framed(kind: Says): Buffer {
  return frame(toBinary(HoldRequestSchema, create(HoldRequestSchema, { kind })));
}

/** A heartbeat. */
export function heartbeat(seq: number): Buffer {
  return framed({ case: "heartbeat", value: { seq: BigInt(seq) } } as Says);
}

/** One resource's acquire and release. Their lease id is another one after every `next`. */
export class Words {
  readonly acquire: Buffer;
  readonly release: Buffer;
  readonly #countAt: { readonly acquire: number; readonly release: number };
  #count = 0;

  /**
   * @param salt makes names and lease ids differ from those of other programs
   * @param number the resource's number: by it answers are told apart
   */
  constructor(salt: string, number: number, ttlMs: number) {
    const resource = `bench/${salt}/${String(number).padStart(NUMBER_CHARS, "0")}`;
    const head = `${salt}x${number.toString(16)}x`;
    const leaseId = head + "0".repeat(ID_CHARS - head.length);
    const ttl = durationFromMs(ttlMs);
    const value = { resource, leaseId, principal: "bench", ttl };
    this.acquire = framed({ case: "acquire", value } as Says);
    this.release = framed({ case: "release", value: { resource, leaseId } } as Says);
    const at = (frame: Buffer): number => frame.indexOf(leaseId) + ID_CHARS - COUNT_CHARS;
    this.#countAt = { acquire: at(this.acquire), release: at(this.release) };
  }

  next(): void {
    this.#count += 1;
    const count = this.#count.toString(16).padStart(COUNT_CHARS, "0");
    this.acquire.write(count, this.#countAt.acquire, "latin1");
    this.release.write(count, this.#countAt.release, "latin1");
  }
}

/** What a daemon says, by the field of HoldResponse that it comes in. */
export const SAYS = { queued: 1, granted: 2, denied: 3, ack: 4, lost: 5, released: 6, draining: 7 };

/** Cuts what comes in on a stream into answers. */
export class Answers {
  readonly #heard: (says: number, message: Buffer) => void;
  #rest: Buffer | undefined;

  /** @param heard is given the field that the answer came in, and the whole message */
  constructor(heard: (says: number, message: Buffer) => void) {
    this.#heard = heard;
  }

  take(chunk: Buffer): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at + HEAD_BYTES <= bytes.length) {
      const end = at + HEAD_BYTES + bytes.readUInt32BE(at + 1);
      if (end > bytes.length) break;
      const message = bytes.subarray(at + HEAD_BYTES, end);
      this.#heard((message[0] ?? 0) >> 3, message);
      at = end;
    }
    this.#rest = at === bytes.length ? undefined : bytes.subarray(at);
  }
}

/** The number of the resource that an answer of Granted or Released is about. */
export function numberIn(says: number, message: Buffer): number {
  // The resource is the first field of Released, and of the lease in Granted.
  let at = skipHead(message, 0);
  if (says === SAYS.granted) at = skipHead(message, at);
  const length = message[at + 1] ?? 0;
  const end = at + 2 + length;
  let number = 0;
  for (let digit = end - NUMBER_CHARS; digit < end; digit++) {
    number = number * 10 + (message[digit] ?? 0) - 48;
  }
  return number;
}

// Past a field's tag and length.
function skipHead(message: Buffer, at: number): number {
  let next = at + 1;
  while ((message[next] ?? 0) > 127) next += 1;
  return next + 1;
}
