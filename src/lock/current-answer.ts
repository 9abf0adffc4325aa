import type { CurrentAnswer } from "./backend.js";
import { asLockError } from "./errors.js";
import type { Lease } from "./lease.js";

/** The lease that an answer tells of. @throws LockError when it could not be read */
export function leaseIn(answer: CurrentAnswer): Lease | undefined {
  if (answer === undefined || !("kind" in answer)) return answer;
  throw answer.error;
}

/** Reads one resource after the other: what cannot be read of one is the answer for that one. */
export function readEach(
  resources: readonly string[],
  read: (resource: string, index: number) => Lease | undefined,
): CurrentAnswer[] {
  return resources.map((resource, index) => {
    try {
      return read(resource, index);
    } catch (thrown) {
      return { kind: "failed", error: asLockError(thrown, "unavailable") };
    }
  });
}
