// The few calls of etcd's own lock service, over raw HTTP/2 as the load on our daemon is, so that the
// client costs the same. Field numbers are those of etcd's public API.

import { constants, type ClientHttp2Session } from "node:http2";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** A lease of so many seconds. */
export async function grantLease(session: ClientHttp2Session, ttlS: number): Promise<string> {
  const request = new BinaryWriter().tag(1, WireType.Varint).int64(ttlS);
  const answer = await call(session, "/etcdserverpb.Lease/LeaseGrant", request);
  return String(fieldOf(answer, 2, (reader) => reader.int64()));
}

/** Its end, and that of what it holds. */
export async function revokeLease(session: ClientHttp2Session, lease: string): Promise<void> {
  await call(
    session,
    "/etcdserverpb.Lease/LeaseRevoke",
    new BinaryWriter().tag(1, WireType.Varint).int64(lease),
  );
}

/** @returns the key that unlocks */
export async function lock(
  session: ClientHttp2Session,
  name: string,
  lease: string,
): Promise<Uint8Array> {
  const request = new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(name)
    .tag(2, WireType.Varint)
    .int64(lease);
  const answer = await call(session, "/v3lockpb.Lock/Lock", request);
  return fieldOf(answer, 2, (reader) => reader.bytes());
}

export async function unlock(session: ClientHttp2Session, key: Uint8Array): Promise<void> {
  await call(
    session,
    "/v3lockpb.Lock/Unlock",
    new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(key),
  );
}

function fieldOf<T>(message: Uint8Array, number: number, read: (reader: BinaryReader) => T): T {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [found, wireType] = reader.tag();
    if (found === number) return read(reader);
    reader.skip(wireType, found);
  }
  throw new Error(`etcd's answer has no field ${String(number)}`);
}

function call(session: ClientHttp2Session, path: string, request: BinaryWriter): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const message = request.finish();
    const frame = Buffer.alloc(5 + message.length);
    frame.writeUInt32BE(message.length, 1);
    frame.set(message, 5);
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: "POST",
      [constants.HTTP2_HEADER_PATH]: path,
      [constants.HTTP2_HEADER_CONTENT_TYPE]: "application/grpc",
      [constants.HTTP2_HEADER_TE]: "trailers",
    });
    const parts: Buffer[] = [];
    let status: unknown;
    let words: unknown;
    const note = (headers: Record<string, unknown>): void => {
      status ??= headers["grpc-status"];
      words ??= headers["grpc-message"];
    };
    stream.on("response", note);
    stream.on("trailers", note);
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("error", reject);
    stream.on("close", () => {
      if (status === "0") resolve(Buffer.concat(parts).subarray(5));
      else reject(new Error(`${path}: status ${String(status)} ${String(words)}`));
    });
    stream.end(frame);
  });
}
