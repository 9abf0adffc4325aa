// The floor: a lock service that does nothing but speak gRPC. The same library and the same
// messages as the daemon's, over a Map and a queue in memory: no store, no checks, no log. What a
// daemon is slower than this, its own work costs.

import { create, fromBinary, toBinary, type Message } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  Server,
  ServerCredentials,
  type handleUnaryCall,
  type MethodDefinition,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import {
  AcquireResponseSchema,
  LeaseSchema,
  LockService,
  ReleaseOutcome,
  ReleaseResponseSchema,
  type AcquireRequest,
  type AcquireResponse,
  type Lease,
  type ReleaseRequest,
  type ReleaseResponse,
} from "../../../src/gen/stormlock/v1/lock_pb.js";
import { methodPath } from "../../../src/rpc/grpc/definition.js";

const TTL_MS = 60_000;

// The codec is the library's own, and the messages are made its way, whatever the daemon does.
const definition: ServiceDefinition = Object.fromEntries(
  LockService.methods.map((method) => {
    const { input, output } = method;
    const oneMethod: MethodDefinition<Message, Message> = {
      path: methodPath(method),
      requestStream: false,
      responseStream: false,
      requestSerialize: (message) => Buffer.from(toBinary(input, message)),
      requestDeserialize: (bytes) => fromBinary(input, bytes),
      responseSerialize: (message) => viewed(toBinary(output, message)),
      responseDeserialize: (bytes) => fromBinary(output, bytes),
    };
    return [method.localName, oneMethod];
  }),
);

function viewed({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

interface Lock {
  holder: Lease;
  readonly waiters: (() => void)[];
}

const locks = new Map<string, Lock>();
let token = BigInt(Date.now()) * 1000n;

function grant({ resource, leaseId, principal }: AcquireRequest): Lease {
  token += 1n;
  const now = Date.now();
  return create(LeaseSchema, {
    ...{ resource, leaseId, principal, fencingToken: token, reason: "", labels: {} },
    ...{ createTime: timestampFromMs(now), expireTime: timestampFromMs(now + TTL_MS) },
    ...{ ttl: durationFromMs(TTL_MS), validFor: durationFromMs(TTL_MS) },
  });
}

const acquire: handleUnaryCall<AcquireRequest, AcquireResponse> = ({ request }, answer) => {
  const granted = (): void => {
    const holder = grant(request);
    const lock = locks.get(request.resource);
    if (lock === undefined) locks.set(request.resource, { holder, waiters: [] });
    else lock.holder = holder;
    answer(null, create(AcquireResponseSchema, { lease: holder }));
  };
  const lock = locks.get(request.resource);
  if (lock === undefined) granted();
  else lock.waiters.push(granted);
};

const release: handleUnaryCall<ReleaseRequest, ReleaseResponse> = ({ request }, answer) => {
  const lock = locks.get(request.resource);
  const isHolder = lock?.holder.leaseId === request.leaseId;
  if (isHolder) {
    const next = lock.waiters.shift();
    if (next === undefined) locks.delete(request.resource);
    else next();
  }
  const outcome = isHolder ? ReleaseOutcome.RELEASED : ReleaseOutcome.NOT_HELD;
  answer(null, create(ReleaseResponseSchema, { outcome }));
};

const server = new Server();
const methods: UntypedServiceImplementation = { acquire, release };
server.addService(definition, methods);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.stderr.write(`listening on 127.0.0.1:${String(port)}\n`);
});
process.once("SIGTERM", () => {
  server.forceShutdown();
});
