// A daemon that answers and does nothing: whoever asks for a lock stands in a queue that never
// moves, and is not even refused when the wait is over. No daemon of ours does that; a client that
// has no clock of its own would hang on one with a fault.

import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { Metadata, Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import {
  HoldRequestSchema,
  HoldResponseSchema,
  LockService,
  ReleaseOutcome,
  type HoldRequest,
} from "../../src/gen/stormlock/v1/lock_pb.js";

type Says = MessageInitShape<typeof HoldResponseSchema>;

const PATH = `/${LockService.typeName}/${LockService.method.hold.name}`;

export class IdleDaemon implements AsyncDisposable {
  readonly #server = new Server();
  #port = 0;
  /** How many heartbeats it has heard. */
  heartbeats = 0;
  /** How often a lock was asked for. */
  asks = 0;

  static async start(): Promise<IdleDaemon> {
    const daemon = new IdleDaemon();
    daemon.#server.addService(
      {
        hold: {
          ...{ path: PATH, requestStream: true, responseStream: true },
          requestSerialize: () => Buffer.of(),
          requestDeserialize: (bytes: Buffer) => fromBinary(HoldRequestSchema, bytes),
          responseSerialize: (says: Says) =>
            Buffer.from(toBinary(HoldResponseSchema, create(HoldResponseSchema, says))),
          responseDeserialize: () => undefined,
        },
      },
      {
        hold: (call: ServerDuplexStream<HoldRequest, Says>) => {
          daemon.#hold(call);
        },
      },
    );
    daemon.#port = await new Promise((listening, failed) => {
      daemon.#server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
        if (error === null) listening(port);
        else failed(error);
      });
    });
    return daemon;
  }

  get address(): string {
    return `127.0.0.1:${String(this.#port)}`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    return Promise.resolve();
  }

  #hold(call: ServerDuplexStream<HoldRequest, Says>): void {
    call.sendMetadata(new Metadata()); // Some clients wait for it before they speak.
    call.on("error", () => undefined);
    call.on("end", () => call.end());
    call.on("data", ({ kind }: HoldRequest) => {
      const answer = this.#answer(kind);
      if (answer !== undefined) call.write({ kind: answer });
    });
  }

  #answer(said: HoldRequest["kind"]): Says["kind"] {
    switch (said.case) {
      case "heartbeat":
        this.heartbeats += 1;
        return { case: "heartbeatAck", value: { seq: said.value.seq, validShare: 1 } };
      case "acquire":
        this.asks += 1;
        // It does not say for what ttl.
        return { case: "queued", value: { resource: said.value.resource, position: 1 } };
      case "release": {
        const { resource, leaseId } = said.value;
        const outcome = ReleaseOutcome.NOT_HELD;
        return { case: "released", value: { resource, leaseId, outcome } };
      }
      case "resume":
      case undefined:
        return undefined;
    }
  }
}
