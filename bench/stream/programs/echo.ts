// The limit of streams: a server that answers every message of a Hold stream at once, with the
// same library and the same messages as the daemon's. It keeps nothing, checks nothing, and grants
// everything.

import { create } from "@bufbuild/protobuf";
import { durationFromMs, type Duration } from "@bufbuild/protobuf/wkt";
import { Server, ServerCredentials, type handleBidiStreamingCall } from "@grpc/grpc-js";
import {
  HoldResponseSchema,
  LockService,
  ReleaseOutcome,
  type HoldAcquire,
  type HoldRequest,
  type HoldResponse,
} from "../../../src/gen/stormlock/v1/lock_pb.js";
import { grpcDefinition } from "../../../src/rpc/grpc/definition.js";
import { leaseToMessage } from "../../../src/rpc/messages.js";

const TTL_MS = 60_000;
let token = BigInt(Date.now()) * 1000n;

function granted({ resource, leaseId, principal }: HoldAcquire, seq: bigint): HoldResponse {
  token += 1n;
  const nowUs = BigInt(Date.now()) * 1000n;
  const lease = {
    ...{ resource, leaseId, principal, token, ttlMs: TTL_MS, remainingMs: TTL_MS, revision: 0n },
    ...{ createdAtUs: nowUs, expiresAtUs: nowUs + 60_000_000n, reason: "", labels: {} },
  };
  const validFor: Duration = durationFromMs(TTL_MS);
  const value = { lease: leaseToMessage(lease, { withId: true }), seq, validFor };
  return create(HoldResponseSchema, { kind: { case: "granted", value } });
}

const hold: handleBidiStreamingCall<HoldRequest, HoldResponse> = (call) => {
  let seq = 0n;
  call.on("data", ({ kind }: HoldRequest) => {
    switch (kind.case) {
      case "heartbeat":
        seq = kind.value.seq;
        call.write(
          create(HoldResponseSchema, {
            kind: { case: "heartbeatAck", value: { seq, validShare: 1 } },
          }),
        );
        return;
      case "acquire":
        call.write(granted(kind.value, seq));
        return;
      case "release": {
        const { resource, leaseId } = kind.value;
        const value = { resource, leaseId, outcome: ReleaseOutcome.RELEASED };
        call.write(create(HoldResponseSchema, { kind: { case: "released", value } }));
        return;
      }
      case "resume":
      case undefined:
        return;
    }
  });
  call.on("end", () => {
    call.end();
  });
  call.on("error", () => undefined);
};

const server = new Server();
server.addService(grpcDefinition(LockService), { hold });
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.stderr.write(`listening on 127.0.0.1:${String(port)}\n`);
});
process.once("SIGTERM", () => {
  server.forceShutdown();
});
