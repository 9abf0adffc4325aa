// The server frozen, and the server ended and back, under a client that goes on.

import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { createTable } from "../../../src/backends/dynamodb/backend.js";
import type { Backend } from "../../../src/lock/backend.js";
import { leaseIn } from "../../../src/lock/unreadable.js";
import { systemClock } from "../../../src/system-clock.js";
import { DynamodbServer } from "../../support/servers/dynamodb.js";
import { temporaryDirectory } from "../support/temporary.js";
import { ask, client, holder, settingsFor, take, withDynamodb } from "./stage.js";

const LEASES = 200;
const TTL_MS = 15_000;

// The local server writes every item to the disk by itself, 30 to 90 a second. What outlives the
// process need not outlive the machine here.
const KEPT_IN = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

interface Kept {
  readonly renewed: number;
  /** Leases that the store said were lost while they ought to have been alive. */
  readonly lostTooEarly: readonly string[];
  /** Leases that nobody managed to renew within their ttl. */
  readonly starved: readonly string[];
}

// Renews as a daemon does, until told to stop: every fifth of the ttl, and what failed again at once.
async function keep(
  backend: Backend,
  leases: readonly { readonly resource: string; readonly leaseId: string }[],
  signal: AbortSignal,
): Promise<Kept> {
  const renewedAtMs = new Map(leases.map(({ resource }) => [resource, performance.now()]));
  const lostTooEarly: string[] = [];
  const starved: string[] = [];
  let renewed = 0;
  let due = leases;
  while (!signal.aborted) {
    const sentAtMs = performance.now();
    const asks = due.map(({ resource, leaseId }) => ({ resource, leaseId, ttlMs: TTL_MS }));
    const answers = await backend.renew(asks).catch(() => []);
    const failed = due.filter((_, index) => (answers[index]?.kind ?? "failed") === "failed");
    for (const [index, { resource }] of due.entries()) {
      const agoMs = performance.now() - (renewedAtMs.get(resource) ?? 0);
      if (answers[index]?.kind === "lost") (agoMs < TTL_MS ? lostTooEarly : starved).push(resource);
      if (answers[index]?.kind !== "renewed") continue;
      renewedAtMs.set(resource, sentAtMs);
      renewed += 1;
    }
    due = failed.length > 0 ? failed : leases;
    await pause(failed.length > 0 ? 100 : TTL_MS / 5);
  }
  return { renewed, lostTooEarly, starved };
}

await withDynamodb("dynamodb, when its server is away", (stage) => {
  it(`a server frozen for 5 s costs none of ${String(LEASES)} leases`, async () => {
    await using backend = await client(stage.settings);
    await using other = await client(stage.settings);
    const asks = Array.from({ length: LEASES }, (_, n) =>
      ask(`frozen/${String(n)}`, { ttlMs: TTL_MS }),
    );
    await backend.acquire(asks);
    const stop = new AbortController();
    const keeping = keep(backend, asks, stop.signal);
    await pause(500);
    stage.server.freeze();
    const startedMs = performance.now();
    const [answer] = await other
      .acquire([ask("frozen/new")])
      .catch((error: unknown) => [{ kind: "failed", error } as const]);
    const settledMs = performance.now() - startedMs;
    await pause(5000 - settledMs);
    stage.server.thaw();
    expect(settledMs).toBeLessThan(8000); // Its time limit is 5 s.
    expect(answer).toMatchObject({ kind: "failed", error: { kind: "unavailable" } });

    await pause(11_000); // Beyond the ttl since the last renewal before it.
    stop.abort();
    const { lostTooEarly, starved } = await keeping;
    expect({ lostTooEarly, starved }).toEqual({ lostTooEarly: [], starved: [] });
    const seen = await other.current(asks.map(({ resource }) => resource));
    expect(seen.map((answer) => leaseIn(answer)?.leaseId)).toEqual(
      asks.map(({ leaseId }) => leaseId),
    );
  });

  it(`a server that is ended and back within 5 s has lost none of ${String(LEASES)} leases, and its clients go on`, async () => {
    await using directory = await temporaryDirectory(KEPT_IN);
    await using server = await DynamodbServer.start(directory.path);
    const settings = settingsFor(server.endpoint);
    await createTable(settings, { clock: systemClock });
    await using backend = await client(settings);
    const released = await take(backend, "restart/released");
    await backend.release([released]);
    const asks = Array.from({ length: LEASES }, (_, n) =>
      ask(`restart/${String(n)}`, { ttlMs: TTL_MS }),
    );
    const grants = await backend.acquire(asks);
    const stop = new AbortController();
    const keeping = keep(backend, asks, stop.signal);
    await server.stop();
    await pause(500); // And as long as it takes to start.
    await server.run();
    await pause(TTL_MS);
    stop.abort();
    const { renewed, lostTooEarly, starved } = await keeping;
    expect({ lostTooEarly, starved }).toEqual({ lostTooEarly: [], starved: [] });
    expect(renewed).toBeGreaterThan(LEASES);

    const seen = await backend.current(asks.map(({ resource }) => resource));
    const tokens = grants.map((grant) => grant.kind === "granted" && grant.lease.token);
    expect(seen.map((answer) => leaseIn(answer)?.token)).toEqual(tokens);
    expect((await take(backend, "restart/released")).token).toBeGreaterThan(released.token);
  });

  it("a client that is opened while its server is away works when it comes", async () => {
    await using directory = await temporaryDirectory(KEPT_IN);
    await using server = await DynamodbServer.start(directory.path);
    const settings = settingsFor(server.endpoint);
    await createTable(settings, { clock: systemClock });
    await server.stop();
    await using backend = await client(settings);
    await expect(backend.check()).rejects.toThrow(/cannot be reached \(ECONNREFUSED\)/u);
    await server.run();
    await backend.check();
    const lease = await take(backend, "early");
    expect((await holder(backend, "early"))?.token).toBe(lease.token);
  });
});
