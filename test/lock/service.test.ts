import { create } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import {
  AcquireRequestSchema,
  CurrentRequestSchema,
  IsHeldRequestSchema,
  ListRequestSchema,
  ReleaseRequestSchema,
  RenewRequestSchema,
} from "../../src/gen/stormlock/v1/lock_pb.js";
import { LockError } from "../../src/lock/errors.js";
import { LockService } from "../../src/rpc/service.js";
import { ask, RESOURCE, startDaemon, Watched } from "../support/lock-kit.js";
import type { Faults } from "../support/memory-backend.js";

function start(faults?: Faults) {
  const daemon = startDaemon(faults === undefined ? {} : { faults });
  const service = new LockService(daemon.locks);
  const { signal } = new AbortController();
  const context = (identity?: string) => ({ signal, identity });
  return { ...daemon, service, context };
}

describe("the service", () => {
  it("makes a lease id for a caller that sent none, and a new one each time", async () => {
    const { service, context } = start();
    const first = await service.acquire(create(AcquireRequestSchema, { resource: "a" }), context());
    const second = await service.acquire(
      create(AcquireRequestSchema, { resource: "b" }),
      context(),
    );
    expect(first.lease?.leaseId).toMatch(/^[0-9a-f]{32}$/u);
    expect(second.lease?.leaseId).not.toBe(first.lease?.leaseId);
    expect(first.lease).toMatchObject({ principal: "anonymous", resource: "a" });
    expect(first.lease?.ttl && durationMs(first.lease.ttl)).toBe(60_000);
  });

  it("takes off what is valid the time that the store took, rounded down", async () => {
    const { service, context, clock } = start(() => ({ beforeMs: 300.5, afterMs: 200 }));
    const request = create(AcquireRequestSchema, {
      ...{ resource: RESOURCE, leaseId: "a", ttl: durationFromMs(10_000) },
    });
    const acquiring = new Watched(service.acquire(request, context()));
    await clock.advance(501);
    const valid = acquiring.value?.lease?.validFor;
    // Asked at 0, granted at 300.5, answered at 500.5: ten seconds from the question on.
    expect(valid && durationMs(valid)).toBe(9499);
    const renewing = new Watched(
      service.renew(create(RenewRequestSchema, { resource: RESOURCE, leaseId: "a" }), context()),
    );
    await clock.advance(501);
    const renewed = renewing.value?.lease?.validFor;
    expect(renewed && durationMs(renewed)).toBe(9499);
  });

  it("answers a lock that is held, a lease that is lost and an id that is used up by errors", async () => {
    const { service, context, locks, clock } = start();
    ask(locks, "owner", { reason: "release 4.2" });
    await clock.settle();
    const acquire = (leaseId: string) =>
      service.acquire(create(AcquireRequestSchema, { resource: RESOURCE, leaseId }), context());
    await expect(acquire("other")).rejects.toMatchObject({
      kind: "lock-held",
      message: expect.stringMatching(
        /^deploy\/prod is held by owner@host since 20.*Z \(release 4\.2\)$/u,
      ) as string,
      holder: { principal: "owner@host", leaseId: "" },
    });
    const name = { resource: RESOURCE, leaseId: "other" };
    await expect(service.renew(create(RenewRequestSchema, name), context())).rejects.toMatchObject({
      kind: "lease-lost",
    });
    expect(await service.release(create(ReleaseRequestSchema, name), context())).toMatchObject({
      outcome: 2,
    });
    const owners = { resource: RESOURCE, leaseId: "owner" };
    expect(await service.isHeld(create(IsHeldRequestSchema, owners), context())).toMatchObject({
      held: true,
    });
    expect(await service.release(create(ReleaseRequestSchema, owners), context())).toMatchObject({
      outcome: 1,
    });
    await expect(acquire("owner")).rejects.toMatchObject({ kind: "lease-lost" });
  });

  it("believes who has proven to be somebody, and not what they say they are", async () => {
    const { service, context } = start();
    const request = create(AcquireRequestSchema, {
      ...{ resource: RESOURCE, leaseId: "a", principal: "bob" },
    });
    const { lease } = await service.acquire(request, context("ann"));
    expect(lease?.principal).toBe("ann");
  });

  it("shows a lease's id to its owner and where nobody has to prove who they are, and in no list", async () => {
    const { service, context, locks, clock } = start();
    ask(locks, "a", { principal: "ann" });
    await clock.settle();
    const request = create(CurrentRequestSchema, { resource: RESOURCE });
    const idFor = async (identity?: string) =>
      (await service.current(request, context(identity))).lease?.leaseId;
    expect([await idFor("ann"), await idFor("bob"), await idFor()]).toEqual(["a", "", "a"]);
    const { leases } = await service.list(create(ListRequestSchema), context("ann"));
    expect(leases.map(({ leaseId, resource }) => [leaseId, resource])).toEqual([["", RESOURCE]]);
    expect(
      (await service.current(create(CurrentRequestSchema, { resource: "free" }), context())).lease,
    ).toBeUndefined();
  });

  it("lists a hundred leases a page unless told otherwise", async () => {
    const { service, context, locks, clock } = start();
    for (let at = 0; at < 130; at++) ask(locks, `l${String(at)}`, { resource: `r${String(at)}` });
    await clock.settle();
    const first = await service.list(create(ListRequestSchema), context());
    const { nextPageToken: pageToken } = first;
    const second = await service.list(create(ListRequestSchema, { pageToken }), context());
    expect([first.leases.length, second.leases.length]).toEqual([100, 30]);
    expect(second.nextPageToken).toBe("");
    await expect(
      service.list(create(ListRequestSchema, { pageSize: -1 }), context()),
    ).rejects.toMatchObject({ field: "page_size" });
  });

  it("lists by name what cannot be read, with what to do", async () => {
    const { service, context, backend } = start();
    const error = new LockError("unavailable", "x is not ours: remove it");
    backend.list = () => Promise.resolve([{ kind: "failed", resource: "x", error }]);
    const { leases, unreadable } = await service.list(create(ListRequestSchema), context());
    expect(leases).toEqual([]);
    expect(unreadable).toMatchObject([{ resource: "x", message: "x is not ours: remove it" }]);
  });

  it("refuses times that are none", async () => {
    const { service, context } = start();
    for (const times of [
      { ttl: durationFromMs(-1) },
      { ttl: durationFromMs(0) },
      { wait: durationFromMs(-1) },
      { ttl: { seconds: 315_576_000_000n, nanos: 0 } },
    ]) {
      const request = create(AcquireRequestSchema, { resource: RESOURCE, leaseId: "a", ...times });
      await expect(service.acquire(request, context())).rejects.toMatchObject({
        kind: "invalid-field",
      });
    }
  });
});
