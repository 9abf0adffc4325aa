import { randomBytes } from "node:crypto";
import * as grpc from "@grpc/grpc-js";
import { answerOf, type Answer, type StockClient } from "./stock-client.js";

type Fields = Readonly<Record<string, unknown>>;

/** One message of the daemon: which of the oneof it is, and its fields. */
export interface Told extends Fields {
  readonly kind: string;
}

const MOST_MS = 15_000;

/** A Hold stream as others have it: the .proto's messages, and nothing done by itself. */
export class HoldStream {
  readonly told: Told[] = [];
  readonly call: grpc.ClientDuplexStream<Fields, Fields>;
  /** Resolves with the headers of the answer. */
  readonly headers: Promise<grpc.Metadata>;
  /** Resolves with the status, when the stream is over. */
  readonly over: Promise<Answer>;
  #seq = 0;
  readonly #taken = new Set<Told>();
  #wake: () => void = () => undefined;

  constructor(client: StockClient) {
    const { hold } = client.client as unknown as {
      hold: () => grpc.ClientDuplexStream<Fields, Fields>;
    };
    this.call = hold.call(client.client);
    this.headers = new Promise((resolve) => this.call.once("metadata", resolve));
    this.over = new Promise((resolve) => {
      const end = (answer: Answer): void => {
        resolve(answer);
        this.#wake();
      };
      this.call.once("error", (error) => {
        end(answerOf(error as grpc.ServiceError));
      });
      this.call.once("status", ({ code }: grpc.StatusObject) => {
        if (code === grpc.status.OK) end(answerOf(null));
      });
    });
    this.call.on("data", (message: Record<string, Fields>) => {
      const [kind = "", fields = {}] = Object.entries(message)[0] ?? [];
      this.told.push({ ...fields, kind });
      this.#wake();
    });
  }

  say(kind: string, fields: Fields): void {
    this.call.write({ [kind]: fields });
  }

  heartbeat(): number {
    this.#seq += 1;
    this.say("heartbeat", { seq: this.#seq });
    return this.#seq;
  }

  /** Asks for a lock, after a heartbeat. @returns the lease's id */
  acquire(resource: string, fields: Fields = {}): string {
    const leaseId = randomBytes(16).toString("hex");
    this.heartbeat();
    this.say("acquire", { resource, lease_id: leaseId, ttl: { seconds: 10 }, ...fields });
    return leaseId;
  }

  /** The next message of this kind that was not asked for before. */
  async next(kind: string, fields: Fields = {}): Promise<Told> {
    const untilMs = performance.now() + MOST_MS;
    for (;;) {
      const message = this.told.find(
        (told) =>
          !this.#taken.has(told) &&
          told.kind === kind &&
          Object.entries(fields).every(([name, value]) => told[name] === value),
      );
      if (message !== undefined) {
        this.#taken.add(message);
        return message;
      }
      if (performance.now() > untilMs) {
        throw new Error(`no ${kind} has come; at the end: ${JSON.stringify(this.told.slice(-5))}`);
      }
      await Promise.race([
        new Promise<void>((resolve) => (this.#wake = resolve)),
        new Promise((resolve) => setTimeout(resolve, 200)),
      ]);
    }
  }

  /** Breaks the stream. */
  break(): void {
    this.call.on("error", () => undefined);
    this.call.cancel();
  }
}

/** A duration of the API, in milliseconds. */
export function ms(duration: unknown): number {
  const { seconds, nanos } = duration as { seconds: string; nanos: number };
  return Number(seconds) * 1000 + nanos / 1e6;
}

/** The fencing token of the lease that a Granted carries. */
export function tokenOf(granted: Told): bigint {
  return BigInt((granted["lease"] as { fencing_token: string }).fencing_token);
}
