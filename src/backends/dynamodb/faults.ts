// What can go wrong between here and a table, and the one line that says so and what to do. The
// SDK's own errors go no further: they carry requests and items, and with them lease ids.

import { LockError } from "../../lock/errors.js";

interface SdkError {
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
  readonly status: number | undefined;
}

const THROTTLED: ReadonlySet<string> = new Set([
  "ProvisionedThroughputExceededException",
  "RequestLimitExceeded",
  "ThrottlingException",
  "ThrottledException",
  "TooManyRequestsException",
  "LimitExceededException",
]);

// Another write to the same item is under way: it will be over in a moment.
const CONTENDED: ReadonlySet<string> = new Set([
  "TransactionConflictException",
  "ReplicatedWriteConflictException",
]);

const BAD_CREDENTIALS: ReadonlySet<string> = new Set([
  "UnrecognizedClientException",
  "InvalidSignatureException",
  "IncompleteSignatureException",
  "MissingAuthenticationTokenException",
  "ExpiredTokenException",
  "InvalidClientTokenId",
  "SignatureDoesNotMatch",
]);

// A signature holds for five minutes by the store's clock: a wrong clock looks like a wrong secret.
const BAD_SIGNATURE: ReadonlySet<string> = new Set([
  "InvalidSignatureException",
  "SignatureDoesNotMatch",
  "RequestExpired",
  "RequestTimeTooSkewed",
  "RequestInTheFuture",
]);

/** Whether it may be this host's clock that the store has refused. */
export function isAboutTime(thrown: unknown): boolean {
  return BAD_SIGNATURE.has(read(thrown).name);
}

/** Whether asking again may help. */
export function isPassing(thrown: unknown): boolean {
  const { name, status, code } = read(thrown);
  if (THROTTLED.has(name) || CONTENDED.has(name) || isLimit(name)) return true;
  if (status !== undefined) return status >= 500 || status === 429 || status === 408;
  return code !== undefined;
}

/** Whether the store refused a write because its condition does not hold. */
export function isRefusal(thrown: unknown): boolean {
  return read(thrown).name === "ConditionalCheckFailedException";
}

/** Whether there is no such table. */
export function isMissing(thrown: unknown): boolean {
  return read(thrown).name === "ResourceNotFoundException";
}

/** Whether the table is there already, or being made. */
export function isInUse(thrown: unknown): boolean {
  return read(thrown).name === "ResourceInUseException";
}

/** A LockError "unavailable" for what the SDK threw. */
export function faultOf(thrown: unknown, place: string): LockError {
  if (thrown instanceof LockError) return thrown;
  const error = read(thrown);
  const cause = new Error(`${error.name}${error.code === undefined ? "" : ` ${error.code}`}`);
  return new LockError("unavailable", explain(error, place), { cause });
}

function explain(error: SdkError, place: string): string {
  const { name, message, code, status } = error;
  if (isMissing(error)) {
    return `there is no table ${place}: create it with "stormlock backend setup", or correct table, region or endpoint`;
  }
  if (name === "AccessDeniedException") {
    const [, action = "what was asked"] = /perform: (dynamodb:[A-Za-z]+)/u.exec(message) ?? [];
    return `${place} does not allow ${action} to these credentials: grant it (docs/backends/dynamodb.md has the policy)`;
  }
  if (BAD_CREDENTIALS.has(name)) {
    return `${place} refuses the credentials (${name}): check access_key_id, secret_access_key and session_token, or the profile`;
  }
  if (name === "CredentialsProviderError" || name === "TokenProviderError") {
    return `no AWS credentials were found for ${place}: write access_key_id and secret_access_key, or a profile, or set the AWS_* variables`;
  }
  if (status === undefined && /region is missing/iu.test(message)) {
    return `no region is known for ${place}: write region = "...", or set AWS_REGION`;
  }
  if (THROTTLED.has(name)) {
    return `${place} is throttled (${name}): try again; if it stays so, make the table PAY_PER_REQUEST or raise its capacity`;
  }
  if (isLimit(name)) {
    return `${place} did not answer in time: check the network and the endpoint, and try again`;
  }
  if (status === undefined && code !== undefined) {
    return `${place} cannot be reached (${code}): check the endpoint or region and the network, and that the server runs`;
  }
  if (CONTENDED.has(name)) return `${place} is busy with other writes (${name}): try again`;
  const said = status === undefined ? "" : ` with status ${String(status)}`;
  return `${place} failed${said} (${name}): try again; check that the endpoint is a DynamoDB`;
}

function isLimit(name: string): boolean {
  return name === "AbortError" || name === "TimeoutError" || name === "RequestTimeout";
}

function read(thrown: unknown): SdkError {
  if (typeof thrown !== "object" || thrown === null) {
    return { name: "unknown", message: String(thrown), code: undefined, status: undefined };
  }
  const error = thrown as {
    readonly name?: unknown;
    readonly message?: unknown;
    readonly code?: unknown;
    readonly status?: unknown;
    readonly $metadata?: { readonly httpStatusCode?: unknown };
  };
  const status = error.$metadata?.httpStatusCode ?? error.status;
  return {
    name: typeof error.name === "string" ? error.name : "unknown",
    message: typeof error.message === "string" ? error.message : "",
    code: typeof error.code === "string" ? error.code : undefined,
    status: typeof status === "number" ? status : undefined,
  };
}
