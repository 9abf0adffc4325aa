// What the tests of DynamoDB share.

import { openDynamodb, type DynamodbSettings } from "../../../src/backends/dynamodb/backend.js";
import type { AcquireAsk, Backend } from "../../../src/lock/backend.js";
import type { Clock } from "../../../src/lock/clock.js";
import { newLeaseId, type Lease } from "../../../src/lock/lease.js";
import { systemClock } from "../../../src/system-clock.js";

/** The local server takes any key, but keeps the tables of each to itself. */
export function settingsFor(endpoint: string, more: DynamodbSettings = {}): DynamodbSettings {
  return {
    ...{ endpoint, region: "eu-west-1" },
    ...{ access_key_id: "stormlock", secret_access_key: "not-much-of-a-secret" },
    ...more,
  };
}

export function client(settings: DynamodbSettings, clock: Clock = systemClock): Promise<Backend> {
  return openDynamodb(settings, { clock });
}

/** The real clock, but for the wall's, which is as far off as is said. */
export class WrongClock implements Clock {
  aheadMs: number;

  constructor(aheadMs = 0) {
    this.aheadMs = aheadMs;
  }

  wallMs(): number {
    return systemClock.wallMs() + this.aheadMs;
  }

  monotonicMs(): number {
    return systemClock.monotonicMs();
  }

  after(delayMs: number, wake: () => void): () => void {
    return systemClock.after(delayMs, wake);
  }

  endOfTurn(work: () => void): void {
    systemClock.endOfTurn(work);
  }
}

export function ask(resource: string, more: Partial<AcquireAsk> = {}): AcquireAsk {
  return {
    ...{ resource, leaseId: newLeaseId(), principal: "ann", ttlMs: 10_000, reason: "" },
    ...{ labels: {}, ...more },
  };
}

/** Takes one resource that is free. */
export async function take(
  backend: Backend,
  resource: string,
  more: Partial<AcquireAsk> = {},
): Promise<Lease> {
  const [answer] = await backend.acquire([ask(resource, more)]);
  if (answer?.kind === "failed") throw answer.error;
  if (answer?.kind !== "granted") throw new Error(`${resource} is ${String(answer?.kind)}`);
  return answer.lease;
}

export async function holder(backend: Backend, resource: string): Promise<Lease | undefined> {
  return (await backend.current([resource]))[0];
}
