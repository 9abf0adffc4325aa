import { connect, type Socket } from "node:net";
import {
  ACK,
  END_STREAM,
  FIRST_WINDOW_BYTES,
  FRAME,
  frame,
  PREFACE,
  resetFrame,
  type AcquireFrames,
} from "./frames.js";

/** What became of a call. A grant is the only answer that has a message. */
export type Fate = "granted" | "refused" | "broken" | "late";

export interface ConnectionOptions {
  readonly address: string;
  readonly frames: AcquireFrames;
  /** After so long a caller no longer waits. */
  readonly deadlineMs: number;
  readonly onFate: (fate: Fate, tookMs: number, dueAtMs: number) => void;
}

interface Waiting {
  readonly dueAtMs: number;
  hasMessage: boolean;
}

/** One connection with any number of calls. What one cannot send yet goes when it may. */
export class Connection {
  #socket: Socket;
  readonly #options: ConnectionOptions;
  // In the order in which they were sent, and so in that of their deadlines.
  readonly #waiting = new Map<number, Waiting>();
  #unsent: { readonly dueAtMs: number; readonly number: number }[] = [];
  #out: Buffer[] = [];
  #in: Buffer = Buffer.alloc(0);
  #windowBytes = FIRST_WINDOW_BYTES;
  #nextStream = 1;
  #isClosed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#socket = this.#connect();
  }

  // And again, as clients do, when it breaks.
  #connect(): Socket {
    const [host = "", port = ""] = this.#options.address.split(":");
    const socket = connect({ host, port: Number(port), noDelay: true });
    socket.write(PREFACE);
    socket.on("data", (chunk) => {
      this.#hear(chunk);
    });
    socket.on("error", () => undefined);
    socket.once("close", () => {
      if (this.#isClosed) return;
      for (const [stream, { dueAtMs }] of this.#waiting) this.#end(stream, "broken", dueAtMs);
      this.#in = Buffer.alloc(0);
      this.#windowBytes = FIRST_WINDOW_BYTES;
      this.#nextStream = 1;
      setTimeout(() => {
        if (!this.#isClosed) this.#socket = this.#connect();
      }, RECONNECT_MS);
    });
    return socket;
  }

  /** @param dueAtMs when it should have been sent: what it takes counts from there */
  acquire(number: number, dueAtMs: number): void {
    this.#unsent.push({ number, dueAtMs });
  }

  /** Sends what is due, and gives up what nobody waits for any more. */
  flush(nowMs: number): void {
    for (const [stream, { dueAtMs }] of this.#waiting) {
      if (nowMs - dueAtMs < this.#options.deadlineMs) break;
      this.#out.push(resetFrame(stream));
      this.#end(stream, "late", dueAtMs);
    }
    const { frames } = this.#options;
    if (this.#socket.destroyed) return;
    let sent = 0;
    for (const { number, dueAtMs } of this.#unsent) {
      if (this.#windowBytes < frames.dataBytes) break;
      this.#windowBytes -= frames.dataBytes;
      const stream = this.#nextStream;
      this.#nextStream += 2;
      this.#out.push(frames.call(stream, number % LOCKS, number));
      this.#waiting.set(stream, { dueAtMs, hasMessage: false });
      sent += 1;
    }
    if (sent > 0) this.#unsent = this.#unsent.slice(sent);
    if (this.#out.length === 0) return;
    this.#socket.write(Buffer.concat(this.#out));
    this.#out = [];
  }

  /** How many have neither been answered nor given up. */
  get open(): number {
    return this.#waiting.size + this.#unsent.length;
  }

  close(): void {
    this.#isClosed = true;
    this.#waiting.clear();
    this.#socket.destroy();
  }

  #hear(chunk: Buffer): void {
    let input = this.#in.length === 0 ? chunk : Buffer.concat([this.#in, chunk]);
    while (input.length >= 9) {
      const length = input.readUIntBE(0, 3);
      if (input.length < 9 + length) break;
      this.#frame(
        input[3] ?? 0,
        input[4] ?? 0,
        input.readUInt32BE(5),
        input.subarray(9, 9 + length),
      );
      input = input.subarray(9 + length);
    }
    this.#in = input;
  }

  #frame(type: number, flags: number, stream: number, body: Buffer): void {
    const call = this.#waiting.get(stream);
    const isLast = (flags & END_STREAM) !== 0;
    switch (type) {
      case FRAME.data:
        if (call !== undefined && body.length > 0) call.hasMessage = true;
        break;
      case FRAME.headers:
        if (call === undefined || !isLast) break;
        this.#end(stream, call.hasMessage ? "granted" : "refused", call.dueAtMs);
        break;
      case FRAME.reset:
        if (call !== undefined) this.#end(stream, "broken", call.dueAtMs);
        break;
      case FRAME.goAway:
        this.#socket.destroy();
        break;
      case FRAME.windowUpdate:
        if (stream === 0) this.#windowBytes += body.readUInt32BE(0);
        break;
      case FRAME.settings:
      case FRAME.ping:
        if ((flags & ACK) === 0) {
          const answer = type === FRAME.ping ? Buffer.from(body) : Buffer.alloc(0);
          this.#out.push(frame(type, ACK, 0, answer));
        }
    }
  }

  #end(stream: number, fate: Fate, dueAtMs: number): void {
    this.#waiting.delete(stream);
    this.#options.onFate(fate, performance.now() - dueAtMs, dueAtMs);
  }
}

const RECONNECT_MS = 100;

// So many that the lease of one has ended before it is asked for again.
const LOCKS = 100_000;
