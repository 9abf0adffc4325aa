// Asking a daemon how it is, in the words that Kubernetes and others use (grpc.health.v1).

import { BinaryReader } from "@bufbuild/protobuf/wire";
import { status as Status, type ServiceError } from "@grpc/grpc-js";
import type { Clock } from "../../lock/clock.js";
import { LockError } from "../../lock/errors.js";
import { dial, unreachableWords, type ClientTls } from "./dial.js";

/** Not serving: it is about to stop, or one of its stores cannot be used now. */
export type Health = "serving" | "not-serving";

export interface HealthQuestion {
  /** One daemon: `host:port`, `[::1]:port` or `unix:/path`. */
  readonly address: string;
  readonly tls?: ClientTls;
  readonly clock: Clock;
  /** How long the connection and the answer may take together. */
  readonly timeoutMs: number;
}

const CHECK = "/grpc.health.v1.Health/Check";
// The daemon as a whole, which is a request without a name of a service: no bytes at all.
const WHOLE = Buffer.alloc(0);
// The field `status` of the answer, and its number for SERVING.
const STATUS_FIELD = 1;
const SERVING = 1;

/**
 * Asks once.
 * @throws LockError "invalid-field" when the address or the PEM texts are no good; "unreachable"
 *   or "timed-out" when no daemon has answered
 */
export async function askHealth({
  address,
  tls,
  clock,
  timeoutMs,
}: HealthQuestion): Promise<Health> {
  const { where, connect } = dial(address, tls);
  const client = connect();
  try {
    return await new Promise<Health>((resolve, reject) => {
      client.makeUnaryRequest<Buffer, Health>(
        CHECK,
        (bytes) => bytes,
        healthIn,
        WHOLE,
        { deadline: clock.wallMs() + timeoutMs },
        (error, health) => {
          if (error !== null) reject(failure(where, error, timeoutMs));
          else resolve(health ?? "not-serving");
        },
      );
    });
  } finally {
    client.close();
  }
}

function healthIn(bytes: Buffer): Health {
  const reader = new BinaryReader(bytes);
  let status = 0;
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === STATUS_FIELD) status = reader.int32();
    else reader.skip(type);
  }
  return status === SERVING ? "serving" : "not-serving";
}

function failure(where: string, error: ServiceError, timeoutMs: number): LockError {
  if (error.code === Status.UNAVAILABLE)
    return new LockError("unreachable", unreachableWords(where, error.details), { cause: error });
  if (error.code === Status.DEADLINE_EXCEEDED)
    return new LockError("timed-out", `${where} has not answered within ${String(timeoutMs)} ms`, {
      cause: error,
    });
  return new LockError(
    "unavailable",
    `${where} does not tell its health: ${error.details}; is it a stormlock daemon?`,
    { cause: error },
  );
}
