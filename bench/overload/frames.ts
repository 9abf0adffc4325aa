// Acquires as frames of HTTP/2 that are written once and filled in for each call, so that one
// process can ask for more than a daemon can give on the machine that both share.

import { randomBytes } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { AcquireRequestSchema } from "../../src/gen/stormlock/v1/lock_pb.js";

export const FRAME = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
} as const;
export const ACK = 1;
export const END_STREAM = 1;
const END_HEADERS = 4;
const CANCEL = 8;

/** What one side may send on a connection until the other gives it more (RFC 9113, 6.9.2). */
export const FIRST_WINDOW_BYTES = 65_535;

const FRAME_HEAD_BYTES = 9;
const MESSAGE_HEAD_BYTES = 5;
// Where the dynamic table of HPACK begins (RFC 7541, 2.3.3).
const DYNAMIC_TABLE = 62;

export function frame(type: number, flags: number, stream: number, body: Buffer): Buffer {
  const head = Buffer.alloc(FRAME_HEAD_BYTES);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

// The largest window there is: answers shall never wait for this side.
const MORE = Buffer.alloc(4);
MORE.writeUInt32BE(2 ** 31 - 1 - FIRST_WINDOW_BYTES);

/** What a client says first. */
export const PREFACE = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  frame(FRAME.settings, 0, 0, Buffer.alloc(0)),
  frame(FRAME.windowUpdate, 0, 0, MORE),
]);

export function resetFrame(stream: number): Buffer {
  return frame(FRAME.reset, 0, stream, Buffer.from([0, 0, 0, CANCEL]));
}

/** Any number of calls of Acquire, each for a lock and with a lease id of its own. */
export class AcquireFrames {
  /** What a call takes of the connection's window. */
  readonly dataBytes: number;
  // The first call of a connection spells its headers out, the others point at them.
  readonly #first: Buffer;
  readonly #other: Buffer;
  readonly #resourceAt: number;
  readonly #idAt: number;
  // A lease id is used once, whatever an earlier run has used.
  readonly #salt = randomBytes(8).toString("hex");

  constructor(authority: string, options: { readonly deadlineMs: number; readonly ttlMs: number }) {
    const fields = {
      ":method": "POST",
      ":scheme": "http",
      ":path": "/stormlock.v1.LockService/Acquire",
      ":authority": authority,
      "content-type": "application/grpc",
      te: "trailers",
      "grpc-timeout": `${String(options.deadlineMs)}m`,
    };
    const message = toBinary(
      AcquireRequestSchema,
      create(AcquireRequestSchema, {
        ...{ resource: `overload/${LOCK}`, leaseId: ID, principal: "bench" },
        ttl: durationFromMs(options.ttlMs),
      }),
    );
    const head = Buffer.alloc(MESSAGE_HEAD_BYTES);
    head.writeUInt32BE(message.length, 1);
    const data = frame(FRAME.data, END_STREAM, 0, Buffer.concat([head, message]));
    const spelt = Object.entries(fields).map(([name, value]) =>
      Buffer.concat([Buffer.from([0x40]), literal(name), literal(value)]),
    );
    const pointed = spelt.map((_, at) => 0x80 | (DYNAMIC_TABLE + spelt.length - 1 - at));
    const call = (headers: Buffer): Buffer =>
      Buffer.concat([frame(FRAME.headers, END_HEADERS, 0, headers), data]);
    this.#first = call(Buffer.concat(spelt));
    this.#other = call(Buffer.from(pointed));
    this.dataBytes = data.length - FRAME_HEAD_BYTES;
    // Counted from the end, which is the same for both.
    this.#resourceAt = data.length - data.indexOf(LOCK);
    this.#idAt = data.length - data.indexOf(ID);
  }

  /** @param number of the lock, and of the lease: below 10^8, and below 10^16 */
  call(stream: number, lock: number, lease: number): Buffer {
    const call = Buffer.from(stream === 1 ? this.#first : this.#other);
    const dataAt = FRAME_HEAD_BYTES + call.readUIntBE(0, 3);
    call.writeUInt32BE(stream, 5);
    call.writeUInt32BE(stream, dataAt + 5);
    call.write(String(lock).padStart(LOCK.length, "0"), call.length - this.#resourceAt, "latin1");
    const id = this.#salt + String(lease).padStart(ID.length - this.#salt.length, "0");
    call.write(id, call.length - this.#idAt, "latin1");
    return call;
  }
}

// What the numbers of a call take the place of.
const LOCK = "########";
const ID = "@".repeat(32);

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  if (bytes.length > 126) throw new Error(`${text} is too long to be written in one byte's length`);
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}
