// A gRPC call straight over HTTP/2: what a gRPC library costs would be measured along with the server.

import { constants, type ClientHttp2Session } from "node:http2";

const PREFIX_BYTES = 5;

/** The headers of a call. */
export function callHeaders(path: string): Record<string, string> {
  return {
    [constants.HTTP2_HEADER_METHOD]: "POST",
    [constants.HTTP2_HEADER_PATH]: path,
    [constants.HTTP2_HEADER_CONTENT_TYPE]: "application/grpc",
    [constants.HTTP2_HEADER_TE]: "trailers",
  };
}

/** A message as it goes over the wire. */
export function frame(message: Uint8Array): Buffer {
  const bytes = Buffer.alloc(PREFIX_BYTES + message.length);
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, PREFIX_BYTES);
  return bytes;
}

/**
 * Asks one thing.
 * @returns the answer's message
 * @throws Error with the status, whenever that is not OK
 */
export function call(
  session: ClientHttp2Session,
  path: string,
  message: Uint8Array,
): Promise<Uint8Array> {
  return callFramed(session, path, frame(message));
}

/** The same, of a message that is as it goes over the wire already. */
export function callFramed(
  session: ClientHttp2Session,
  path: string,
  framed: Buffer,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const stream = session.request(callHeaders(path));
    const chunks: Buffer[] = [];
    let status: unknown;
    let words: unknown;
    const note = (headers: Record<string, unknown>): void => {
      status ??= headers["grpc-status"];
      words ??= headers["grpc-message"];
    };
    stream.on("response", note);
    stream.on("trailers", note);
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", reject);
    stream.on("close", () => {
      if (status === "0") resolve(Buffer.concat(chunks).subarray(PREFIX_BYTES));
      else reject(new Error(`${path}: status ${String(status)} ${String(words)}`));
    });
    stream.end(framed);
  });
}
