// What scripts answer, as the port has it. Numbers have 16 digits at the most: none is rounded.

import type {
  AcquireAnswer,
  AcquireAsk,
  CurrentAnswer,
  Failed,
  ReleaseAnswer,
  RenewAnswer,
} from "../../lock/backend.js";
import { LockError } from "../../lock/errors.js";
import { labelsOf } from "../../lock/labels.js";
import type { Lease } from "../../lock/lease.js";
import { VALUES_PER_ANSWER } from "./scripts.js";

type Value = string | number;

/** What a script has answered to one question, and the server's time in µs. */
export interface Answer {
  readonly now: number;
  readonly values: readonly Value[];
  /** Where the values of this answer begin. */
  readonly at: number;
}

/** A script's reply, cut into its answers. The rest is what follows them. */
export class Reply {
  readonly #values: readonly Value[];

  constructor(values: unknown) {
    this.#values = values as readonly Value[];
  }

  answers<T>(
    resources: readonly string[],
    read: (resource: string, answer: Answer) => T,
  ): (T | Failed)[] {
    const now = Number(this.#values[0]);
    return resources.map((resource, index) => {
      const at = 1 + index * VALUES_PER_ANSWER;
      try {
        return read(resource, { now, values: this.#values, at });
      } catch (thrown) {
        return foreign(resource, thrown instanceof Error ? thrown.message : String(thrown));
      }
    });
  }

  /** The same reply without its first answers. */
  after(questions: number): Reply {
    return new Reply([this.#values[0], ...this.#values.slice(1 + questions * VALUES_PER_ANSWER)]);
  }

  rest(questions: number): string[] {
    return this.#values.slice(1 + questions * VALUES_PER_ANSWER).map(String);
  }
}

/** What a holder has said of a lease, as one text in its row. */
export function saidOf({ principal, reason, labels }: AcquireAsk): string {
  return JSON.stringify({ principal, reason, labels });
}

export function acquireAnswer(resource: string, answer: Answer): AcquireAnswer {
  switch (kindOf(answer)) {
    case "granted":
      return { kind: "granted", lease: toLease(resource, answer), created: true };
    case "extended":
      return { kind: "granted", lease: toLease(resource, answer), created: false };
    case "held":
      return { kind: "held", holder: toLease(resource, answer) };
    case "spent":
      return { kind: "spent" };
    default:
      return failed(resource, answer);
  }
}

export function renewAnswer(resource: string, answer: Answer): RenewAnswer {
  const kind = kindOf(answer);
  if (kind === "renewed") return { kind, lease: toLease(resource, answer) };
  return kind === "lost" ? { kind } : failed(resource, answer);
}

export function releaseAnswer(resource: string, answer: Answer): ReleaseAnswer {
  const kind = kindOf(answer);
  return kind === "released" || kind === "not-held" ? { kind } : failed(resource, answer);
}

export function currentAnswer(resource: string, answer: Answer): CurrentAnswer {
  const kind = kindOf(answer);
  if (kind === "held") return toLease(resource, answer);
  if (kind === "free") return undefined;
  return failed(resource, answer);
}

function kindOf({ values, at }: Answer): string {
  return String(values[at]);
}

function toLease(resource: string, { now, values, at }: Answer): Lease {
  const [made, end] = [String(values[at + 2]), Number(values[at + 4])];
  const afterToken = made.indexOf(" ");
  const afterCreated = made.indexOf(" ", afterToken + 1);
  const said = JSON.parse(made.slice(afterCreated + 1)) as Partial<Record<string, unknown>>;
  const { principal, reason } = said;
  if (typeof principal !== "string" || typeof reason !== "string") {
    throw new TypeError("it does not say who holds it");
  }
  return {
    ...{ resource, leaseId: String(values[at + 1]), principal, reason },
    labels: labelsOf(said["labels"]),
    token: BigInt(made.slice(0, afterToken)),
    ttlMs: Number(values[at + 5]),
    remainingMs: Math.floor((end - now) / 1000),
    createdAtUs: BigInt(made.slice(afterToken + 1, afterCreated)),
    expiresAtUs: BigInt(end),
    revision: BigInt(values[at + 3] ?? 0),
  };
}

// What fails a question and not its batch: no room for something new, or a key that is not ours
// where the row should be.
function failed(resource: string, { values, at }: Answer): Failed {
  const complaint = String(values[at + 1] ?? "no answer");
  if (!complaint.includes("OOM")) return foreign(resource, complaint);
  const name = JSON.stringify(resource);
  const message = `redis has no memory left to grant ${name}: raise its maxmemory or make room; what is held is kept`;
  return { kind: "failed", error: new LockError("unavailable", message) };
}

function foreign(resource: string, why: string): Failed {
  const name = JSON.stringify(resource);
  const message = `the row of ${name} in redis cannot be read (${why}): another program writes keys under this prefix; delete that key, or use another prefix`;
  return { kind: "failed", error: new LockError("unavailable", message) };
}
