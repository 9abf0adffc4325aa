// Those who want one lock, one after the other: by unary calls, and on Hold streams. What they ask
// goes straight to HTTP/2: a gRPC library here would cost more than what is measured.

import { connect, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  AcquireRequestSchema,
  HoldRequestSchema,
  LockService,
  ReleaseRequestSchema,
} from "../../src/gen/stormlock/v1/lock_pb.js";
import type { HolderSays } from "../../src/lock/hold.js";
import { newLeaseId } from "../../src/lock/lease.js";
import { methodPath } from "../../src/rpc/grpc/definition.js";
import { holderMessage } from "../../src/rpc/hold-messages.js";
import { call, frame } from "../grpc-call.js";
import { Answers, HOLD_HEADERS, SAYS } from "../hold-frames.js";

/** One who takes the lock, gives it back, and queues again. */
export interface Caller {
  /** Queues for it. Resolves when it is held. */
  take(): Promise<void>;
  /** Gives it back. What is asked next goes out behind that. */
  give(): void;
}

const WAIT_MS = 60_000;
const TTL_MS = 60_000;

/** By Acquire and Release. */
export class UnaryCaller implements Caller {
  readonly #session: ClientHttp2Session;
  readonly #resource: string;
  readonly #failed: (error: Error) => void;
  #leaseId = "";

  constructor(session: ClientHttp2Session, resource: string, failed: (error: Error) => void) {
    this.#session = session;
    this.#resource = resource;
    this.#failed = failed;
  }

  async take(): Promise<void> {
    const [resource, leaseId] = [this.#resource, newLeaseId()];
    const [ttl, wait] = [durationFromMs(TTL_MS), durationFromMs(WAIT_MS)];
    const ask = create(AcquireRequestSchema, { resource, leaseId, principal: "bench", ttl, wait });
    await call(
      this.#session,
      methodPath(LockService.method.acquire),
      toBinary(AcquireRequestSchema, ask),
    );
    this.#leaseId = leaseId;
  }

  give(): void {
    const { resource, leaseId } = { resource: this.#resource, leaseId: this.#leaseId };
    const ask = create(ReleaseRequestSchema, { resource, leaseId });
    const path = methodPath(LockService.method.release);
    call(this.#session, path, toBinary(ReleaseRequestSchema, ask)).catch(this.#failed);
  }
}

/** By a Hold stream of its own. */
export class StreamCaller implements Caller {
  readonly #stream: ClientHttp2Stream;
  readonly #resource: string;
  #granted: (() => void) | undefined;
  #leaseId = "";
  #seq = 0;

  constructor(session: ClientHttp2Session, resource: string, failed: (error: Error) => void) {
    this.#resource = resource;
    this.#stream = session.request(HOLD_HEADERS);
    const answers = new Answers((says) => {
      if (says === SAYS.granted) this.#granted?.();
      if (says === SAYS.denied) failed(new Error("the acquire was denied"));
    });
    this.#stream.on("data", (chunk: Buffer) => {
      answers.take(chunk);
    });
    this.#stream.on("error", failed);
    this.#stream.on("trailers", (headers: Record<string, unknown>) => {
      failed(new Error(`Hold: status ${String(headers["grpc-status"])}`));
    });
  }

  take(): Promise<void> {
    this.#leaseId = newLeaseId();
    const { resource, leaseId } = { resource: this.#resource, leaseId: this.#leaseId };
    return new Promise((resolve) => {
      this.#granted = resolve;
      this.#say({ kind: "heartbeat", seq: ++this.#seq });
      this.#say({
        ...{ kind: "acquire", resource, leaseId, principal: "bench", reason: "", labels: {} },
        ...{ ttlMs: TTL_MS, waitMs: Infinity },
      });
    });
  }

  give(): void {
    const { resource, leaseId } = { resource: this.#resource, leaseId: this.#leaseId };
    this.#say({ kind: "release", resource, leaseId });
  }

  #say(says: HolderSays): void {
    this.#stream.write(frame(toBinary(HoldRequestSchema, holderMessage(says))));
  }
}

/** Connects to a server. */
export function open(address: string): ClientHttp2Session {
  return connect(`http://${address}`);
}
