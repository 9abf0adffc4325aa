import { createRegistry } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import {
  ConnectError,
  createConnectRouter,
  createContextKey,
  type Code as ConnectCode,
  type ContextKey,
  type HandlerContext,
} from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { ErrorInfoSchema } from "../../gen/google/rpc/status_pb.js";
import {
  LockHeldSchema,
  LockService as LockServiceDescriptor,
} from "../../gen/stormlock/v1/lock_pb.js";
import type { DepartureSignal } from "../../lock/departure.js";
import { asLockError, LockError } from "../../lock/errors.js";
import { LIMITS } from "../../lock/limits.js";
import { overloadedError } from "../../lock/refusals.js";
import type { Admission } from "../admission.js";
import type { Call, Calls } from "../calls.js";
import { Code } from "../code.js";
import type { CallContext, LockService } from "../service.js";
import { toStatus } from "../status.js";

/** What a request brings along to its handler. */
export interface Visit {
  readonly call: Call;
  readonly identity: string | undefined;
}

export const VISIT: ContextKey<Visit | undefined> = createContextKey<Visit | undefined>(undefined);

const details = createRegistry(ErrorInfoSchema, LockHeldSchema);

/** The lock service for Connect and gRPC-Web, by its paths. */
export function routes(
  service: LockService,
  calls: Calls,
  admission: Admission,
): ReadonlyMap<string, UniversalHandler> {
  const router = createConnectRouter({
    grpc: false, // needs trailers, which HTTP/1.1 clients do not have; gRPC has its own door
    readMaxBytes: LIMITS.messageBytes,
    acceptCompression: [],
  });
  const answer =
    <Q, A>(ask: (request: Q, context: CallContext) => Promise<A>) =>
    (request: Q, context: HandlerContext): Promise<A> =>
      answered(ask, request, context, calls);
  router.service(LockServiceDescriptor, {
    acquire: answer(async (request, context) => {
      await turn(admission, context.signal);
      return service.acquire(request, context);
    }),
    renew: answer((request, context) => service.renew(request, context)),
    release: answer((request, context) => service.release(request, context)),
    current: answer((request, context) => service.current(request, context)),
    isHeld: answer((request, context) => service.isHeld(request, context)),
    list: answer((request, context) => service.list(request, context)),
  });
  return new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
}

// In the same line as the acquires of the other door.
function turn(admission: Admission, signal: DepartureSignal): Promise<void> {
  return new Promise((begin, reject) => {
    const refuse = (): void => {
      reject(overloadedError());
    };
    // Nobody is there to hear it, but the call is over.
    const leave = (): void => {
      reject(new LockError("cancelled", "the caller has gone"));
    };
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave, { once: true });
    admission.enter({ begin, refuse, isGone: () => signal.aborted });
  });
}

async function answered<Q, A>(
  ask: (request: Q, context: CallContext) => Promise<A>,
  request: Q,
  context: HandlerContext,
  calls: Calls,
): Promise<A> {
  const visit = context.values.get(VISIT);
  visit?.call.received(request);
  try {
    const refusal = visit === undefined ? undefined : calls.refusal(visit.call);
    if (refusal !== undefined) throw refusal;
    const answer = await ask(request, { signal: context.signal, identity: visit?.identity });
    visit?.call.end(Code.OK, "");
    return answer;
  } catch (thrown) {
    // Connect's own deadline has passed: its word for that, not ours for a caller who left.
    if (context.signal.aborted && context.signal.reason instanceof ConnectError) {
      const { code, rawMessage } = context.signal.reason;
      visit?.call.end(code, rawMessage);
      throw context.signal.reason;
    }
    const error = asLockError(thrown);
    if (error !== thrown) calls.failed(visit?.call.method ?? "", request, thrown);
    const { code, message } = toStatus(error);
    visit?.call.end(code, message);
    throw connectError(error);
  }
}

/** The same status and details as on the gRPC door. */
function connectError(error: LockError): ConnectError {
  const status = toStatus(error);
  // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- the same numbers
  const code = status.code as ConnectCode;
  const made = new ConnectError(status.message, code, undefined, undefined, error);
  made.details = status.details.flatMap((any) => {
    const value = anyUnpack(any, details);
    const desc = value === undefined ? undefined : details.getMessage(value.$typeName);
    // The key $typeName says which message it is; the rest are its fields.
    return value === undefined || desc === undefined ? [] : [{ desc, value: { ...value } }];
  });
  return made;
}
