// The floor: a lock service that does nothing but speak gRPC. The same library and the same
// messages as the daemon's, over a Map and a queue in memory: no store, no checks, no log. What a
// daemon is slower than this, its own work costs.

import { create } from "@bufbuild/protobuf";
import {
  Server,
  ServerCredentials,
  type handleUnaryCall,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import {
  AcquireResponseSchema,
  LockService,
  ReleaseOutcome,
  ReleaseResponseSchema,
  type AcquireRequest,
  type AcquireResponse,
  type ReleaseRequest,
  type ReleaseResponse,
} from "../../../src/gen/stormlock/v1/lock_pb.js";
import type { Lease } from "../../../src/lock/lease.js";
import { grpcDefinition } from "../../../src/rpc/grpc/definition.js";
import { leaseToMessage } from "../../../src/rpc/messages.js";

interface Lock {
  holder: Lease;
  readonly waiters: (() => void)[];
}

const locks = new Map<string, Lock>();
let token = BigInt(Date.now()) * 1000n;

function grant({ resource, leaseId, principal }: AcquireRequest): Lease {
  token += 1n;
  const nowUs = BigInt(Date.now()) * 1000n;
  return {
    ...{ resource, leaseId, principal, token, ttlMs: 60_000, remainingMs: 60_000, revision: 0n },
    ...{ createdAtUs: nowUs, expiresAtUs: nowUs + 60_000_000n, reason: "", labels: {} },
  };
}

const acquire: handleUnaryCall<AcquireRequest, AcquireResponse> = ({ request }, answer) => {
  const granted = (): void => {
    const holder = grant(request);
    const lock = locks.get(request.resource);
    if (lock === undefined) locks.set(request.resource, { holder, waiters: [] });
    else lock.holder = holder;
    const lease = leaseToMessage(holder, { withId: true });
    answer(null, create(AcquireResponseSchema, { lease }));
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
server.addService(grpcDefinition(LockService), methods);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.stderr.write(`listening on 127.0.0.1:${String(port)}\n`);
});
process.once("SIGTERM", () => {
  server.forceShutdown();
});
