// The quick way to a daemon on this machine: one question in JSON over a connection of its own.
// A command that asks once would spend four fifths of its time on loading gRPC.
//
//   Q1. Only what a daemon of ours says in its own words is an answer: the answer itself, or a
//       refusal with our reason. Everything else is gRPC's to find out and to put into words,
//       which is loaded then, and asked from then on.
//   Q2. What may have been sent is never asked a second time in the same attempt: it ends as
//       "unavailable", and the client asks again (C1 in unary-client.ts).

import { connect, type Socket } from "node:net";
import { formatAddress, type Address } from "../../lock/address.js";
import type { Clock } from "../../lock/clock.js";
import { LockError } from "../../lock/errors.js";
import { LIMITS } from "../../lock/limits.js";
import { onAbort } from "../../lock/on-abort.js";
import {
  answerFromJson,
  errorFromJson,
  isJsonMethod,
  jsonPath,
  requestJson,
  SERVER_NAME,
  type JsonMethod,
} from "../json-message.js";
import type {
  AnswerOf,
  CallOptions,
  RequestOf,
  UnaryMethod,
  UnaryTransport,
} from "../transport.js";

export interface QuickTransportOptions {
  /** A daemon that only this machine can reach, without TLS. */
  readonly address: Address;
  readonly clock: Clock;
  /** The other way to the same daemon. */
  readonly openGrpc: () => Promise<UnaryTransport>;
}

// A lease with the longest names and labels, several times over.
const MOST_ANSWER_BYTES = 1024 * 1024;

interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/** How an attempt ended that brought no answer. */
type Failure = "unconnected" | "broken" | "timed-out" | "cancelled";

export class QuickTransport implements UnaryTransport {
  readonly #address: Address;
  readonly #clock: Clock;
  readonly #openGrpc: () => Promise<UnaryTransport>;
  readonly #sockets = new Set<Socket>();
  #grpc: Promise<UnaryTransport> | undefined;

  constructor({ address, clock, openGrpc }: QuickTransportOptions) {
    this.#address = address;
    this.#clock = clock;
    this.#openGrpc = openGrpc;
  }

  async unary<M extends UnaryMethod>(
    method: M,
    request: RequestOf<M>,
    options: CallOptions,
  ): Promise<AnswerOf<M>> {
    const { timeoutMs = Infinity } = options;
    let left = options;
    if (this.#grpc === undefined && isJsonMethod(method) && !isWaiting(request)) {
      const body = requestJson(request);
      if (Buffer.byteLength(body) <= LIMITS.messageBytes) {
        const untilMs = this.#clock.monotonicMs() + timeoutMs;
        const answer = await this.#ask(method, body, options);
        if (answer !== "unconnected") return answer;
        left = { ...options, timeoutMs: untilMs - this.#clock.monotonicMs() };
      }
    }
    this.#grpc ??= this.#openGrpc(); // Q1
    return await (await this.#grpc).unary(method, request, left);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await (await this.#grpc)?.[Symbol.asyncDispose]();
  }

  async #ask<M extends JsonMethod>(
    method: M,
    body: string,
    { signal, timeoutMs }: CallOptions,
  ): Promise<AnswerOf<M> | "unconnected"> {
    const where = formatAddress(this.#address);
    if (signal?.aborted === true) throw cancelled(where, signal);
    const answer = await this.#exchange(jsonPath(method), body, signal, timeoutMs);
    switch (answer) {
      case "unconnected":
        return answer;
      case "cancelled":
        throw cancelled(where, signal);
      case "timed-out":
        throw new LockError(
          "timed-out",
          `${where} has not answered within ${String(Math.round(timeoutMs ?? 0))} ms`,
        );
      case "broken":
        throw this.#broken(where); // Q2
    }
    const meaning = read(method, answer);
    if (meaning instanceof LockError) throw meaning;
    return meaning ?? Promise.reject(this.#broken(where));
  }

  #broken(where: string): LockError {
    this.#grpc ??= this.#openGrpc();
    return new LockError("unavailable", `${where} has ended the call without an answer`);
  }

  // HTTP/1.1 with one request on a connection is little enough to be written by hand; node:http
  // brings along TLS, and with it the parsing of all root certificates.
  #exchange(
    path: string,
    body: string,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
  ): Promise<HttpAnswer | Failure> {
    return new Promise((resolve) => {
      const address = this.#address;
      const socket = connect(
        address.kind === "unix"
          ? { path: address.path }
          : { host: address.host, port: address.port, noDelay: true },
      );
      this.#sockets.add(socket);
      const received: Buffer[] = [];
      let bytes = 0;
      let isConnected = false;
      const end = (result: HttpAnswer | Failure): void => {
        stopTimer();
        stopListening?.();
        this.#sockets.delete(socket);
        socket.destroy();
        resolve(result);
      };
      const stopTimer = this.#clock.after(timeoutMs ?? Infinity, () => {
        end("timed-out");
      });
      const stopListening =
        signal &&
        onAbort(signal, () => {
          end("cancelled");
        });
      const lost = (): void => {
        end(isConnected ? "broken" : "unconnected");
      };
      socket.once("connect", () => {
        isConnected = true;
        socket.write(httpRequest(address, path, body));
      });
      socket.on("data", (chunk: Buffer) => {
        received.push(chunk);
        bytes += chunk.length;
        const answer = bytes > MOST_ANSWER_BYTES ? "broken" : httpAnswer(Buffer.concat(received));
        if (answer !== undefined) end(answer);
      });
      socket.once("error", lost);
      socket.once("close", lost);
    });
  }
}

// A call that waits in a queue needs gRPC's pings, to find out that it waits for nobody.
function isWaiting(request: object): boolean {
  const { wait } = request as RequestOf<"acquire">;
  return wait !== undefined && (wait.seconds !== 0n || wait.nanos !== 0);
}

// Q1. Undefined for what is none of a daemon's answers.
function read<M extends JsonMethod>(
  method: M,
  { status, body }: HttpAnswer,
): AnswerOf<M> | LockError | undefined {
  try {
    return status === 200 ? answerFromJson(method, body) : errorFromJson(body);
  } catch {
    return undefined;
  }
}

function cancelled(where: string, signal: AbortSignal | undefined): LockError {
  return new LockError("cancelled", `the call to ${where} was cancelled`, {
    cause: signal?.reason,
  });
}

function httpRequest(address: Address, path: string, body: string): string {
  return [
    `POST ${path} HTTP/1.1`,
    `host: ${address.kind === "unix" ? "localhost" : formatAddress(address)}`,
    "connection: close",
    "content-type: application/json",
    `content-length: ${String(Buffer.byteLength(body))}`,
    "",
    body,
  ].join("\r\n");
}

// Undefined while some of it is missing.
function httpAnswer(bytes: Buffer): HttpAnswer | "broken" | undefined {
  const headEnd = bytes.indexOf("\r\n\r\n");
  const isHttp = "HTTP/1.1 ".startsWith(bytes.toString("latin1", 0, "HTTP/1.1 ".length));
  if (!isHttp) return "broken";
  if (headEnd < 0) return undefined;
  const head = bytes.toString("latin1", 0, headEnd);
  const status = /^HTTP\/1\.1 ([0-9]{3}) /u.exec(head)?.[1];
  const length = /\r\ncontent-length: *([0-9]+) *(?:\r\n|$)/iu.exec(head)?.[1];
  const server = /\r\nserver: *(.*?) *(?:\r\n|$)/iu.exec(head)?.[1];
  if (status === undefined || length === undefined || server !== SERVER_NAME) return "broken";
  const bodyAt = headEnd + 4;
  const bodyEnd = bodyAt + Number(length);
  if (bytes.length < bodyEnd) return undefined;
  return { status: Number(status), body: bytes.toString("utf8", bodyAt, bodyEnd) };
}
