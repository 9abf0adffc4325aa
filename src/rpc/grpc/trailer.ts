import { Metadata, type status } from "@grpc/grpc-js";
import { LockError } from "../../lock/errors.js";
import { encodeStatus, toStatus, type RpcStatus } from "../status.js";

/** The trailer that carries a google.rpc.Status. */
export const DETAILS = "grpc-status-details-bin";

// Several libraries refuse trailers of more than 8 KiB, and would make an unknown outcome of a
// held lock: a holder's labels stay behind before that.
const MOST_BYTES = 4096;

/** What grpc-js sends at the end of a call that has failed. */
export interface FailedStatus {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

export function failedStatus(error: LockError): FailedStatus {
  let failure = toStatus(error);
  let encoded = encodeStatus(failure);
  if (encoded.length > MOST_BYTES) {
    failure = withoutLabels(error);
    encoded = encodeStatus(failure);
  }
  const metadata = new Metadata();
  metadata.set(DETAILS, Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength));
  // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- the same numbers
  const code = failure.code as status;
  return { code, details: sendable(failure.message), metadata };
}

function withoutLabels(error: LockError): RpcStatus {
  const { kind, field, holder } = error;
  return toStatus(
    new LockError(kind, error.message, {
      ...(field === undefined ? {} : { field }),
      ...(holder === undefined ? {} : { holder: { ...holder, labels: {} } }),
    }),
  );
}

// Percent-encoding, which grpc-js does without asking, throws on half a surrogate pair.
function sendable(message: string): string {
  const whole = message.length > 1024 ? `${message.slice(0, 1023)}…` : message;
  return whole.replace(/\p{Cs}/gu, "\uFFFD");
}
