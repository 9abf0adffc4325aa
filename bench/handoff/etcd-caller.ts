// One who wants a lock by etcd's own lock service, on one etcd lease for all that it takes.

import type { ClientHttp2Session } from "node:http2";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { call, type Caller } from "./callers.js";

const TTL_S = 60;

export class EtcdCaller implements Caller {
  readonly #session: ClientHttp2Session;
  readonly #ask: Uint8Array;
  readonly #failed: (error: Error) => void;
  #key: Uint8Array = new Uint8Array();
  #unlocked: Promise<unknown> = Promise.resolve();

  private constructor(
    session: ClientHttp2Session,
    resource: string,
    lease: bigint,
    failed: (error: Error) => void,
  ) {
    this.#session = session;
    // LockRequest: name = 1, lease = 2.
    this.#ask = new BinaryWriter()
      .tag(1, WireType.LengthDelimited)
      .string(resource)
      .tag(2, WireType.Varint)
      .int64(lease)
      .finish();
    this.#failed = failed;
  }

  static async open(
    session: ClientHttp2Session,
    resource: string,
    failed: (error: Error) => void,
  ): Promise<EtcdCaller> {
    // LeaseGrantRequest: TTL = 1 in seconds. LeaseGrantResponse: ID = 2.
    const ask = new BinaryWriter().tag(1, WireType.Varint).int64(TTL_S).finish();
    const answer = await call(session, "/etcdserverpb.Lease/LeaseGrant", ask);
    const lease = field(answer, 2, (reader) => BigInt(reader.int64()));
    return new EtcdCaller(session, resource, lease, failed);
  }

  async take(): Promise<void> {
    // One etcd lease has one key of a name: the last one must be gone.
    await this.#unlocked;
    // LockResponse: key = 2.
    const answer = await call(this.#session, "/v3lockpb.Lock/Lock", this.#ask);
    this.#key = field(answer, 2, (reader) => reader.bytes());
  }

  give(): void {
    // UnlockRequest: key = 1.
    const ask = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(this.#key).finish();
    this.#unlocked = call(this.#session, "/v3lockpb.Lock/Unlock", ask).catch(this.#failed);
  }
}

function field<T>(message: Uint8Array, wanted: number, read: (reader: BinaryReader) => T): T {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (number === wanted) return read(reader);
    reader.skip(type);
  }
  throw new Error(`etcd's answer has no field ${String(wanted)}`);
}
