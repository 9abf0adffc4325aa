// The few calls of etcd's own lock service, over raw HTTP/2 as the load on our daemon is, so that the
// client costs the same. Field numbers are those of etcd's public API.

import type { ClientHttp2Session } from "node:http2";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { call } from "../grpc-call.js";

/** A lease of so many seconds. */
export async function grantLease(session: ClientHttp2Session, ttlS: number): Promise<string> {
  const request = new BinaryWriter().tag(1, WireType.Varint).int64(ttlS);
  const answer = await call(session, "/etcdserverpb.Lease/LeaseGrant", request.finish());
  return String(fieldOf(answer, 2, (reader) => reader.int64()));
}

/** Its end, and that of what it holds. */
export async function revokeLease(session: ClientHttp2Session, lease: string): Promise<void> {
  await call(
    session,
    "/etcdserverpb.Lease/LeaseRevoke",
    new BinaryWriter().tag(1, WireType.Varint).int64(lease).finish(),
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
  const answer = await call(session, "/v3lockpb.Lock/Lock", request.finish());
  return fieldOf(answer, 2, (reader) => reader.bytes());
}

export async function unlock(session: ClientHttp2Session, key: Uint8Array): Promise<void> {
  await call(
    session,
    "/v3lockpb.Lock/Unlock",
    new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(key).finish(),
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
