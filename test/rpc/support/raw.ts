import { connect, type Socket } from "node:net";

/** One connection that says exactly what it is told to. */
export class Raw implements AsyncDisposable {
  readonly socket: Socket;
  #received = Buffer.alloc(0);
  readonly closed: Promise<void>;

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    this.socket.on("data", (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
    });
    this.socket.on("error", () => undefined);
    this.socket.on("end", () => this.socket.end());
    this.closed = new Promise((resolve) =>
      this.socket.once("close", () => {
        resolve();
      }),
    );
  }

  get received(): Buffer {
    return this.#received;
  }

  get text(): string {
    return this.#received.toString("latin1");
  }

  /** Resolves when it has been handed to the kernel, or can no longer be. */
  send(...parts: readonly (Buffer | string)[]): Promise<void> {
    return new Promise((resolve) => {
      if (this.socket.destroyed) resolve();
      else
        this.socket.write(Buffer.concat(parts.map((part) => Buffer.from(part))), () => {
          resolve();
        });
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    return this.closed;
  }
}

export const FRAME = { data: 0, headers: 1, rst: 3, settings: 4, ping: 6 } as const;
export const END_HEADERS = 4;
export const END_STREAM = 1;

/** One HTTP/2 frame. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  body: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

/** What an HTTP/2 client says first. */
export const PREFACE = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  frame(FRAME.settings, 0, 0),
]);

/** Headers in HPACK, each spelt out. */
export function headers(fields: Readonly<Record<string, string>>): Buffer {
  const parts = Object.entries(fields).flatMap(([name, value]) => [
    Buffer.from([0]),
    literal(name),
    literal(value),
  ]);
  return Buffer.concat(parts);
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  if (bytes.length > 126) throw new Error("too long for this simple HPACK");
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

/** The headers of a gRPC call. */
export function callHeaders(
  method: string,
  changed: Readonly<Record<string, string>> = {},
): Buffer {
  return headers({
    ":method": "POST",
    ":scheme": "http",
    ":path": `/stormlock.v1.LockService/${method}`,
    ":authority": "localhost",
    "content-type": "application/grpc",
    te: "trailers",
    ...changed,
  });
}

/** A message as gRPC frames it. */
export function grpcMessage(bytes: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

export function resetFrame(stream: number, code = 8): Buffer {
  return frame(FRAME.rst, 0, stream, Buffer.from([0, 0, 0, code]));
}
