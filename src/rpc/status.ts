// How what stops a caller crosses a wire: a code for everybody, an ErrorInfo with a stable
// reason for programs, a LockHeld with the holder for people.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyPack, anyUnpack, type Any } from "@bufbuild/protobuf/wkt";
import { ErrorInfoSchema, StatusSchema } from "../gen/google/rpc/status_pb.js";
import { LockHeldSchema } from "../gen/stormlock/v1/lock_pb.js";
import { LockError, type ErrorKind } from "../lock/errors.js";
import { Code } from "./code.js";
import { leaseFromMessage, leaseToMessage } from "./messages.js";
import { ERROR_DOMAIN, kindOfReason, wireOf } from "./reason.js";

export interface RpcStatus {
  readonly code: number;
  readonly message: string;
  readonly details: readonly Any[];
}

/** The status of an error, for whatever door it leaves by. */
export function toStatus(error: LockError): RpcStatus {
  const { code, reason } = wireOf(error.kind);
  const metadata: Record<string, string> = error.field === undefined ? {} : { field: error.field };
  const details = [
    anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason, domain: ERROR_DOMAIN, metadata })),
  ];
  if (error.holder !== undefined) {
    const holder = leaseToMessage(error.holder, { withId: false });
    details.push(anyPack(LockHeldSchema, create(LockHeldSchema, { holder })));
  }
  return { code, message: error.message, details };
}

/** What the trailer `grpc-status-details-bin` carries. */
export function encodeStatus({ code, message, details }: RpcStatus): Uint8Array {
  return toBinary(StatusSchema, create(StatusSchema, { code, message, details: [...details] }));
}

/**
 * The error that a gRPC answer means. A code alone proves nothing, since libraries and
 * proxies make up their own: only with our ErrorInfo is it definite.
 */
export function fromStatus(
  code: number,
  message: string,
  encoded: Uint8Array | undefined,
  cause: unknown,
): LockError {
  const details = decodeDetails(encoded);
  for (const detail of details) {
    const info = anyUnpack(detail, ErrorInfoSchema);
    if (info?.domain !== ERROR_DOMAIN) continue;
    const kind = kindOfReason(info.reason);
    if (kind === undefined) continue;
    const field = info.metadata["field"];
    const holder = details.map((any) => anyUnpack(any, LockHeldSchema)?.holder).find(Boolean);
    return new LockError(kind, message, {
      ...(field === undefined ? {} : { field }),
      ...(holder === undefined ? {} : { holder: leaseFromMessage(holder) }),
    });
  }
  const kind = isUnsent(code, message) ? "unreachable" : kindOfBareCode(code);
  return new LockError(kind, message, { cause });
}

// Bytes from a stranger's trailer: what is not a Status is no detail, and no reason to fail.
function decodeDetails(encoded: Uint8Array | undefined): readonly Any[] {
  if (encoded === undefined) return [];
  try {
    return fromBinary(StatusSchema, encoded).details;
  } catch {
    return [];
  }
}

// What grpc-js says when no connection came about, so that nothing was sent at all.
function isUnsent(code: number, message: string): boolean {
  return code === Code.UNAVAILABLE && message.includes("No connection established");
}

// INTERNAL is what libraries make of a reset stream: as unknown as a broken connection. And
// RESOURCE_EXHAUSTED is what they make of an answer that is too large, which was carried out.
function kindOfBareCode(code: number): ErrorKind {
  switch (code) {
    case Code.CANCELLED:
      return "cancelled";
    case Code.DEADLINE_EXCEEDED:
      return "timed-out";
    case Code.UNIMPLEMENTED:
    case Code.UNAUTHENTICATED:
    case Code.PERMISSION_DENIED:
      return "internal";
    default:
      return "unavailable";
  }
}
