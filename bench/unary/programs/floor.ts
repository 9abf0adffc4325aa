// The floor: a lock service that does nothing but speak gRPC. The same library and the same
// messages as the daemon's, over a Map and a queue in memory: no store, no checks, no log. What a
// daemon is slower than this, its own work costs.

import {
  create,
  fromBinary,
  toBinary,
  type Message,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  Server,
  ServerCredentials,
  type handleBidiStreamingCall,
  type handleUnaryCall,
  type MethodDefinition,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import {
  AcquireResponseSchema,
  HoldResponseSchema,
  LeaseSchema,
  LockService,
  ReleaseOutcome,
  ReleaseResponseSchema,
  type AcquireRequest,
  type AcquireResponse,
  type HoldRequest,
  type HoldResponse,
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
      requestStream: method.methodKind === "bidi_streaming",
      responseStream: method.methodKind === "bidi_streaming",
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

interface Ask {
  readonly resource: string;
  readonly leaseId: string;
  readonly principal: string;
}

function grant({ resource, leaseId, principal }: Ask): Lease {
  token += 1n;
  const now = Date.now();
  return create(LeaseSchema, {
    ...{ resource, leaseId, principal, fencingToken: token, reason: "", labels: {} },
    ...{ createTime: timestampFromMs(now), expireTime: timestampFromMs(now + TTL_MS) },
    ...{ ttl: durationFromMs(TTL_MS), validFor: durationFromMs(TTL_MS) },
  });
}

function take(ask: Ask, tell: (lease: Lease) => void): void {
  const granted = (): void => {
    const holder = grant(ask);
    const lock = locks.get(ask.resource);
    if (lock === undefined) locks.set(ask.resource, { holder, waiters: [] });
    else lock.holder = holder;
    tell(holder);
  };
  const lock = locks.get(ask.resource);
  if (lock === undefined) granted();
  else lock.waiters.push(granted);
}

function giveBack({ resource, leaseId }: Omit<Ask, "principal">): ReleaseOutcome {
  const lock = locks.get(resource);
  if (lock?.holder.leaseId !== leaseId) return ReleaseOutcome.NOT_HELD;
  const next = lock.waiters.shift();
  if (next === undefined) locks.delete(resource);
  else next();
  return ReleaseOutcome.RELEASED;
}

const acquire: handleUnaryCall<AcquireRequest, AcquireResponse> = ({ request }, answer) => {
  take(request, (lease) => {
    answer(null, create(AcquireResponseSchema, { lease }));
  });
};

const release: handleUnaryCall<ReleaseRequest, ReleaseResponse> = ({ request }, answer) => {
  answer(null, create(ReleaseResponseSchema, { outcome: giveBack(request) }));
};

const hold: handleBidiStreamingCall<HoldRequest, HoldResponse> = (stream) => {
  let seq = 0n;
  const say = (message: MessageInitShape<typeof HoldResponseSchema>): void => {
    stream.write(create(HoldResponseSchema, message));
  };
  stream.on("data", ({ kind }: HoldRequest) => {
    if (kind.case === "heartbeat") {
      ({ seq } = kind.value);
      say({ kind: { case: "heartbeatAck", value: { seq, validShare: 1 } } });
    } else if (kind.case === "acquire") {
      take(kind.value, (lease) => {
        say({
          kind: { case: "granted", value: { lease, seq, validFor: durationFromMs(TTL_MS) } },
        });
      });
    } else if (kind.case === "release") {
      const { resource, leaseId } = kind.value;
      const outcome = giveBack(kind.value);
      say({ kind: { case: "released", value: { resource, leaseId, outcome } } });
    }
  });
  stream.on("end", () => {
    stream.end();
  });
  // The one on the other side has gone.
  stream.on("error", () => undefined);
};

const server = new Server();
const methods: UntypedServiceImplementation = { acquire, release, hold };
server.addService(definition, methods);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.stderr.write(`listening on 127.0.0.1:${String(port)}\n`);
});
process.once("SIGTERM", () => {
  server.forceShutdown();
});
