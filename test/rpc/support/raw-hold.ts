import { once } from "node:events";
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  HoldRequestSchema,
  HoldResponseSchema,
  type HoldResponse,
} from "../../../src/gen/stormlock/v1/lock_pb.js";
import { grpcMessage } from "./raw.js";

export type Said = MessageInitShape<typeof HoldRequestSchema>;

/** A Hold stream on bare HTTP/2: fast enough to flood a daemon, and without any manners. */
export class RawHold implements AsyncDisposable {
  readonly stream: ClientHttp2Stream;
  readonly trailers: Promise<Readonly<Record<string, string>>>;
  readonly closed: Promise<unknown>;
  readonly #session: ClientHttp2Session;
  #unread = Buffer.alloc(0);

  /**
   * @param heard hears every answer; without it they are read, and not looked at
   * @param headers more than every stream has
   */
  constructor(
    address: string,
    heard?: (answer: HoldResponse["kind"]) => void,
    headers: Readonly<Record<string, string>> = {},
  ) {
    this.#session = connect(`http://${address}`);
    this.stream = this.#session.request({
      ":method": "POST",
      ":path": "/stormlock.v1.LockService/Hold",
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    this.stream.on("error", () => undefined);
    this.closed = once(this.stream, "close");
    this.trailers = once(this.stream, "trailers").then(([all]) => all as Record<string, string>);
    this.stream.on("data", (bytes: Buffer) => {
      if (heard !== undefined) this.#read(bytes, heard);
    });
  }

  /** Resolves when there is room for more. */
  async say(...messages: readonly Said[]): Promise<void> {
    const pieces = messages.map((message) =>
      grpcMessage(Buffer.from(toBinary(HoldRequestSchema, create(HoldRequestSchema, message)))),
    );
    if (!this.stream.write(Buffer.concat(pieces))) await once(this.stream, "drain");
  }

  /** Says the last word, and waits until everything that was said has been heard. */
  async end(): Promise<void> {
    this.stream.end();
    await this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#session.destroy();
    return Promise.resolve();
  }

  #read(bytes: Buffer, heard: (answer: HoldResponse["kind"]) => void): void {
    this.#unread = Buffer.concat([this.#unread, bytes]);
    for (;;) {
      if (this.#unread.length < 5) return;
      const end = 5 + this.#unread.readUInt32BE(1);
      if (this.#unread.length < end) return;
      heard(fromBinary(HoldResponseSchema, this.#unread.subarray(5, end)).kind);
      this.#unread = this.#unread.subarray(end);
    }
  }
}
