// A lock's life on a name that nobody else uses, straight at the store.

import type { AcquireAsk, Backend, Failed } from "../../../src/lock/backend.js";
import { leaseIn } from "../../../src/lock/unreadable.js";
import { formatDuration } from "../../../src/lock/duration.js";
import { newLeaseId } from "../../../src/lock/lease.js";
import type { Steps } from "./steps.js";

// Long enough for slow stores, and soon over if we are killed in the middle.
const TTL_MS = 10_000;

// How often the release is tried when something went wrong before.
const RELEASES = 2;

/** Takes, refuses, renews, looks up and releases a lock; whatever happens, it is released. */
export async function roundTrip(backend: Backend, principal: string, steps: Steps): Promise<void> {
  const ttlMs = Math.max(TTL_MS, backend.traits.minTtlMs);
  const resource = `stormlock/check/${newLeaseId()}`;
  const [leaseId, otherId] = [newLeaseId(), newLeaseId()];
  const wish = { resource, principal, ttlMs, reason: "stormlock backend check", labels: {} };
  const acquire = async (ask: AcquireAsk) => definite((await backend.acquire([ask]))[0]);
  let mayBeHeld = true;
  try {
    await steps.take(
      "acquire",
      () => acquire({ ...wish, leaseId }),
      ({ kind }) => told(kind === "granted", "acquired", `a free lock is not granted but ${kind}`),
    );
    await steps.take(
      "refuse",
      () => acquire({ ...wish, leaseId: otherId }),
      ({ kind }) =>
        told(
          kind === "held",
          "refused to another",
          `a lock that is held is not refused but ${kind}`,
        ),
    );
    await steps.take(
      "renew",
      async () => definite((await backend.renew([{ resource, leaseId, ttlMs }]))[0]),
      ({ kind }) => told(kind === "renewed", "renewed", `a lease that is held is ${kind}`),
    );
    await steps.take(
      "is-held",
      async () => leaseIn((await backend.current([resource]))[0]),
      (lease) =>
        told(lease?.leaseId === leaseId, "held by this lease", "the holder is not to be found"),
    );
    await steps.take(
      "release",
      async () => definite((await backend.release([{ resource, leaseId }]))[0]),
      ({ kind }) => told(kind === "released", "released", `a lease that is held is ${kind}`),
    );
    mayBeHeld = false;
  } finally {
    // The other one, too: a store that grants it is what we are here to find.
    const ids = mayBeHeld ? [leaseId, otherId] : [];
    const areReleased: boolean[] = [];
    for (const id of ids)
      areReleased.push(await isReleased(backend, { resource, leaseId: id }, steps));
    if (areReleased.includes(false)) {
      steps.warn(`${resource} may be held for another ${formatDuration(ttlMs)}`);
    }
  }
}

/** @throws LockError for an answer that is none */
function definite<Answer extends { readonly kind: string }>(
  answer: Answer | Failed | undefined,
): Answer {
  if (answer === undefined) throw new Error("no answer");
  if (isFailed(answer)) throw answer.error;
  return answer;
}

function isFailed(answer: { readonly kind: string }): answer is Failed {
  return answer.kind === "failed";
}

function told(isRight: boolean, right: string, wrong: string): string {
  if (!isRight) throw new Error(`${wrong}: this store cannot keep locks`);
  return right;
}

async function isReleased(
  backend: Backend,
  lease: { readonly resource: string; readonly leaseId: string },
  steps: Steps,
): Promise<boolean> {
  for (let attempt = 0; attempt < RELEASES; attempt++) {
    try {
      const [answer] = await steps.inTime(backend.release([lease]));
      if (answer !== undefined && answer.kind !== "failed") return true;
    } catch {
      // What is wrong has been said; this is the tidying up.
    }
  }
  return false;
}
