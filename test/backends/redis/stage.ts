// What the tests of the Redis backend share.

import { readFileSync } from "node:fs";
import { Redis, type RedisOptions } from "ioredis";
import { openRedis, type RedisHooks } from "../../../src/backends/redis/backend.js";
import type { RedisSettings } from "../../../src/backends/redis/settings.js";
import type { AcquireAsk, Backend } from "../../../src/lock/backend.js";
import { leaseIn } from "../../../src/lock/unreadable.js";
import { newLeaseId, type Lease } from "../../../src/lock/lease.js";
import { systemClock } from "../../../src/system-clock.js";

/** Who the tests log in as. */
export const LEAST_USER = { user: "locker", password: "s3cret/p@ss:word" } as const;

const PAGE = "docs/backends/redis.md";

/** The line of the page, as a server's configuration has it. */
export function leastRights(prefix: string): string {
  const command = /^ACL SETUSER locker on >PASSWORD (.*)$/mu.exec(readFileSync(PAGE, "utf8"));
  if (command?.[1] === undefined) throw new Error(`${PAGE} should say what to grant`);
  const rights = command[1].replaceAll("stormlock", prefix);
  return `user ${LEAST_USER.user} on >${LEAST_USER.password} ${rights}`;
}

/** Opens a backend at a url, or with more settings. */
export function open(settings: RedisSettings | string, hooks: RedisHooks = {}): Promise<Backend> {
  const all = typeof settings === "string" ? { url: settings } : settings;
  return openRedis(all, { clock: systemClock }, hooks);
}

/** A client past our own code, to look into a server and to change it. */
export class Raw implements AsyncDisposable {
  readonly redis: Redis;

  constructor(port: number, more: Pick<RedisOptions, "username" | "password" | "tls"> = {}) {
    const options = {
      host: "127.0.0.1",
      port,
      protocol: 2,
      replyMapping: "legacy",
      ...more,
    } as const;
    this.redis = new Redis({ ...options, retryStrategy: () => null });
  }

  /** A row's fields. */
  row(resource: string, prefix = "stormlock"): Promise<Record<string, string>> {
    return this.redis.hgetall(`{${prefix}}:lease:${resource}`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.redis.disconnect();
    return Promise.resolve();
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
  if (answer?.kind !== "granted") throw new Error(`${resource} is ${String(answer?.kind)}`);
  return answer.lease;
}

export async function holder(backend: Backend, resource: string): Promise<Lease | undefined> {
  return leaseIn((await backend.current([resource]))[0]);
}

/** Waits, within reason, until something holds. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  expectation: string,
  withinMs = 10_000,
): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(expectation);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
