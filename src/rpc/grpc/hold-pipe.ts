// Many messages at once, through grpc-js. By itself it (1.14) takes each message of a stream by
// itself: a copy, two promises, a turn through an object stream and back, a write of its own to
// the connection. On a busy Hold stream that costs more than the locks. Here all messages that
// came in one piece are one, and so are all that go out together. What grpc-js does for a
// stream beside that, it goes on doing: its order, its status, its pauses.

import type { ServerHttp2Stream } from "node:http2";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { LIMITS } from "../../lock/limits.js";

const HEAD_BYTES = 5;

/** What grpc-js has inside a call, and its types do not show. */
interface InnerCall {
  readonly stream: ServerHttp2Stream;
  readonly readQueue: { type: "READABLE"; compressedMessage: null; parsedMessage: unknown }[];
  checkCancelled(): boolean;
  handleDataFrame(data: Buffer): void;
  maybePushNextMessage(): void;
  serializeMessage(message: unknown): Buffer;
}

const PARTS: readonly (keyof InnerCall)[] = [
  ...(["stream", "readQueue", "checkCancelled", "handleDataFrame"] as const),
  ...(["maybePushNextMessage", "serializeMessage"] as const),
];

/**
 * From now on the call's "data" is either all that one piece of the stream held, as a list, or one
 * message as grpc-js has read it: that is how compressed ones come, and those in crumbs. What is written
 * to the call is made bytes by `frames`.
 * @throws Error when grpc-js has changed and this no longer works
 */
export function widen<Read, Write>(
  call: ServerDuplexStream<Read | readonly Read[], Write>,
  read: (message: Buffer) => Read,
  frames: (message: Write) => Buffer,
): void {
  const inner = (call as unknown as { readonly call?: InnerCall }).call;
  if (inner === undefined || !PARTS.every((part) => part in inner)) {
    throw new Error("grpc-js has changed: its calls no longer have what hold-pipe.ts builds on");
  }
  inner.serializeMessage = (message) => frames(message as Write);
  const handle = inner.handleDataFrame.bind(inner);
  let isPlain = true;
  let rest: Buffer | undefined;
  inner.handleDataFrame = (data) => {
    if (!isPlain) {
      handle(data);
      return;
    }
    if (inner.checkCancelled()) return;
    const bytes = rest === undefined ? data : Buffer.concat([rest, data]);
    const batch: Read[] = [];
    let at = 0;
    while (at + HEAD_BYTES <= bytes.length) {
      const size = bytes.readUInt32BE(at + 1);
      const end = at + HEAD_BYTES + size;
      isPlain = bytes[at] === 0 && size <= LIMITS.messageBytes;
      if (!isPlain || end > bytes.length) break;
      batch.push(read(bytes.subarray(at + HEAD_BYTES, end)));
      at = end;
    }
    if (batch.length > 0) {
      inner.stream.pause(); // until it is asked for more
      inner.readQueue.push({ type: "READABLE", compressedMessage: null, parsedMessage: batch });
      inner.maybePushNextMessage();
    } else if (rest !== undefined) {
      isPlain = false; // in crumbs, which would be copied again and again
    }
    rest = at === bytes.length ? undefined : bytes.subarray(at);
    if (isPlain || rest === undefined) return;
    handle(rest);
    rest = undefined;
  };
}
