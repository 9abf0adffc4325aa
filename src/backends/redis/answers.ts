// What scripts answer, as the port has it. Numbers come as texts: all digits of them matter.

import type {
  AcquireAnswer,
  AcquireAsk,
  Failed,
  ReleaseAnswer,
  RenewAnswer,
} from "../../lock/backend.js";
import { LockError } from "../../lock/errors.js";
import type { Lease } from "../../lock/lease.js";

type Values = readonly string[];

/** An answer of a script: the server's time in µs, an answer for each question, and more. */
export type Reply = readonly [now: string, answers: readonly Values[], more?: Values];

/** What a holder has said of a lease, as one text in its row. */
export function saidOf({ principal, reason, labels }: AcquireAsk): string {
  return JSON.stringify({ principal, reason, labels });
}

export function acquireAnswer(resource: string, values: Values, now: string): AcquireAnswer {
  const [kind = "fault"] = values;
  switch (kind) {
    case "granted":
    case "extended":
      return {
        ...{ kind: "granted", lease: toLease(resource, values, now) },
        created: kind === "granted",
      };
    case "held":
      return { kind: "held", holder: toLease(resource, values, now) };
    case "spent":
      return { kind: "spent" };
    default:
      return failed(resource, values);
  }
}

export function renewAnswer(resource: string, values: Values, now: string): RenewAnswer {
  if (values[0] === "renewed") return { kind: "renewed", lease: toLease(resource, values, now) };
  return values[0] === "lost" ? { kind: "lost" } : failed(resource, values);
}

export function releaseAnswer(resource: string, [kind, ...rest]: Values): ReleaseAnswer {
  return kind === "released" || kind === "not-held"
    ? { kind }
    : failed(resource, [kind ?? "", ...rest]);
}

/** @throws LockError "unavailable" */
export function currentAnswer(resource: string, values: Values, now: string): Lease | undefined {
  if (values[0] === "held") return toLease(resource, values, now);
  if (values[0] === "free") return undefined;
  throw failed(resource, values).error;
}

function toLease(resource: string, values: Values, now: string): Lease {
  const [, leaseId = "", token = "", revision = "", created = "", end = "", ttl, said = ""] =
    values;
  const { principal, reason, labels } = JSON.parse(said) as Pick<
    Lease,
    "principal" | "reason" | "labels"
  >;
  return {
    ...{ resource, leaseId, principal, reason, labels },
    token: BigInt(token),
    ttlMs: Number(ttl),
    remainingMs: Number((BigInt(end) - BigInt(now)) / 1000n),
    createdAtUs: BigInt(created),
    expiresAtUs: BigInt(end),
    revision: BigInt(revision),
  };
}

// The one thing that fails a question and not its batch: a key that is not ours where the row
// should be.
function failed(resource: string, [, complaint = "no answer"]: Values): Failed {
  const message = `the row of ${JSON.stringify(resource)} in redis cannot be read (${complaint}): another program writes keys under this prefix; delete that key, or use another prefix`;
  return { kind: "failed", error: new LockError("unavailable", message) };
}
