// Stands between a client and a DynamoDB, and spoils what a test wants spoiled.

import { createServer, request, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** A request as the proxy sees it. */
export interface Seen {
  /** Such as PutItem. */
  readonly operation: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** Counts the requests of this operation, from 0. */
  readonly index: number;
}

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** What becomes of a request. Left out, it passes. */
export interface Fate {
  /** The request is carried out so much later. */
  readonly lateMs?: number;
  /** The request is carried out, and the connection is cut instead of an answer. */
  readonly loseAnswer?: boolean;
  /** The request goes no further; this is the answer. */
  readonly answer?: Answer;
  /** How far its Date is ahead. */
  readonly dateAheadMs?: number;
  /** The request is carried out, and another answer is given. */
  readonly change?: (answer: Answer) => Answer;
}

/** A refusal that does not show the item, as some servers give it. */
export function withoutItem({ status, body }: Answer): Answer {
  const rest = { ...body };
  Reflect.deleteProperty(rest, "Item");
  return { status, body: rest };
}

/** An error as DynamoDB says it. */
export function failure(status: number, type: string, message = type): Fate {
  const __type = `com.amazonaws.dynamodb.v20120810#${type}`;
  return { answer: { status, body: { __type, message } } };
}

export class HttpProxy implements AsyncDisposable {
  readonly seen: Seen[] = [];
  /** Decides about every request. */
  fate: (seen: Seen) => Fate | undefined = () => undefined;
  readonly #server: Server;
  readonly #target: string;

  private constructor(target: string) {
    this.#target = target;
    this.#server = createServer((incoming, outgoing) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.on("end", () => {
        const bytes = Buffer.concat(chunks);
        const operation = String(incoming.headers["x-amz-target"]).split(".")[1] ?? "";
        void this.#carryOut(operation, bytes, incoming.headers).then(
          (answer) => {
            if (answer === undefined || incoming.socket.destroyed) {
              incoming.socket.destroy();
              return;
            }
            const headers = { ...answer.headers };
            for (const name of ["content-length", "x-amz-crc32", "transfer-encoding"]) {
              Reflect.deleteProperty(headers, name);
            }
            outgoing.writeHead(answer.status, headers).end(JSON.stringify(answer.body));
          },
          () => incoming.socket.destroy(),
        );
      });
    });
  }

  static async open(target: string): Promise<HttpProxy> {
    const proxy = new HttpProxy(target);
    await new Promise<void>((ready) => proxy.#server.listen(0, "127.0.0.1", ready));
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  /** How many requests of an operation there were. */
  count(operation: string): number {
    return this.seen.filter((one) => one.operation === operation).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
  }

  async #carryOut(
    operation: string,
    bytes: Buffer,
    headers: IncomingHttpHeaders,
  ): Promise<(Answer & { readonly headers: IncomingHttpHeaders }) | undefined> {
    const body = JSON.parse(bytes.toString()) as Record<string, unknown>;
    const seen = { operation, body, index: this.count(operation) };
    this.seen.push(seen);
    const fate = this.fate(seen) ?? {};
    const json = { "content-type": "application/x-amz-json-1.0" };
    if (fate.answer !== undefined) {
      const date = new Date(Date.now() + (fate.dateAheadMs ?? 0)).toUTCString();
      return { ...fate.answer, headers: { ...json, date } };
    }
    if (fate.lateMs !== undefined) await pause(fate.lateMs);
    const answer = await this.#forward(bytes, headers);
    if (fate.loseAnswer === true) return undefined;
    return { ...answer, ...fate.change?.(answer) };
  }

  #forward(
    bytes: Buffer,
    headers: IncomingHttpHeaders,
  ): Promise<Answer & { readonly headers: IncomingHttpHeaders }> {
    return new Promise((resolve, reject) => {
      const onward = request(this.#target, { method: "POST", headers }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("end", () => {
          const body = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
          resolve({ status: answer.statusCode ?? 0, body, headers: answer.headers });
        });
      });
      onward.once("error", reject);
      onward.end(bytes);
    });
  }
}
