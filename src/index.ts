// The public TypeScript API: a client for programs, and the port for those who write a backend.
// How to test a backend is in "stormlock/conformance".

export { connect, type ConnectOptions } from "./connect.js";
export type {
  AcquireOptions,
  AcquireResult,
  HeldLease,
  HoldOptions,
  HoldResult,
  ListOptions,
  RenewResult,
} from "./rpc/client-contract.js";
export type { LockClient } from "./rpc/client.js";
export { LockError, type ErrorKind, type LockErrorDetails } from "./lock/errors.js";
export { newLeaseId, type Lease } from "./lock/lease.js";
export type { Hold } from "./lock/holder/holding.js";
export type { HoldState } from "./lock/holder/belief.js";
export { formatDuration, parseDuration } from "./lock/duration.js";
export type { Clock } from "./lock/clock.js";
export { systemClock } from "./system-clock.js";
export type {
  AcquireAnswer,
  AcquireAsk,
  Backend,
  BackendTraits,
  CurrentAnswer,
  Failed,
  HandOverAnswer,
  HandOverAsk,
  ListAnswer,
  ListAsk,
  ReleaseAnswer,
  ReleaseAsk,
  RenewAnswer,
  RenewAsk,
  Unreadable,
} from "./lock/backend.js";
export type { BackendSetup, BackendType, SettingsTools } from "./backends/type.js";
