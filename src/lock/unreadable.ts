// What another program has put where a lease should be is that resource's own trouble: it is the
// answer to the question about it, and to no other.

import type { CurrentAnswer, Failed, ListAnswer } from "./backend.js";
import { LockError } from "./errors.js";
import type { Lease } from "./lease.js";

/** What is read of one resource, or why it cannot be read. */
export function readOne<T>(resource: string, read: () => T): T | Failed {
  try {
    return read();
  } catch (thrown) {
    return { kind: "failed", error: unreadable(resource, thrown) };
  }
}

/** Reads one resource after the other. */
export function readEach(
  resources: readonly string[],
  read: (resource: string, index: number) => Lease | undefined,
): CurrentAnswer[] {
  return resources.map((resource, index) => readOne(resource, () => read(resource, index)));
}

/** A page of those resources that are held, or cannot be read. */
export function listed(
  resources: readonly string[],
  answers: readonly CurrentAnswer[],
): ListAnswer[] {
  return resources.flatMap((resource, index): ListAnswer[] => {
    const answer = answers[index];
    if (answer === undefined) return [];
    return "kind" in answer ? [{ ...answer, resource }] : [answer];
  });
}

/** The lease that an answer tells of. @throws LockError when it could not be read */
export function leaseIn(answer: CurrentAnswer): Lease | undefined {
  if (answer === undefined || !("kind" in answer)) return answer;
  throw answer.error;
}

function unreadable(resource: string, thrown: unknown): LockError {
  if (thrown instanceof LockError) return thrown;
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  return new LockError(
    "unavailable",
    `what the store has for ${JSON.stringify(resource)} was not written by Stormlock (${why}): remove it, or give Stormlock a place of its own`,
    { cause: thrown },
  );
}
