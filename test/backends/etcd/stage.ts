// What the tests of etcd share.

import { setTimeout as pause } from "node:timers/promises";
import { openEtcd, type EtcdBackend } from "../../../src/backends/etcd/backend.js";
import type { EtcdSettings } from "../../../src/backends/etcd/settings.js";
import type { AcquireAsk, Backend } from "../../../src/lock/backend.js";
import type { Clock } from "../../../src/lock/clock.js";
import { leaseIn } from "../../../src/lock/unreadable.js";
import { newLeaseId, type Lease } from "../../../src/lock/lease.js";
import { systemClock } from "../../../src/system-clock.js";
import { missingEtcd } from "../../support/servers/etcd.js";

/** Why tests with a server are skipped; undefined when they run. */
export const missing = missingEtcd();

/** A client of the server at an address. */
export function open(
  address: string,
  more: Partial<EtcdSettings> = {},
  clock: Clock = systemClock,
): Promise<EtcdBackend> {
  const [host = "", port] = address.split(":");
  return openEtcd({ host, port: Number(port), ...more }, { clock });
}

export function ask(resource: string, more: Partial<AcquireAsk> = {}): AcquireAsk {
  return {
    ...{ resource, leaseId: newLeaseId(), principal: "ann", ttlMs: 60_000, reason: "" },
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
  return leaseIn((await backend.current([resource]))[0]);
}

/** How an ask ended; for a failure, its message. */
export function outcome(
  answer: { readonly kind: string; readonly error?: Error } | undefined,
): string {
  return answer?.kind === "failed" ? (answer.error?.message ?? "") : (answer?.kind ?? "none");
}

export async function until(
  holds: () => boolean | Promise<boolean>,
  withinMs: number,
  expectation: string,
): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(expectation);
    await pause(20);
  }
}
