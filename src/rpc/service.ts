import type {
  AcquireRequest,
  AcquireResponse,
  CurrentRequest,
  CurrentResponse,
  IsHeldRequest,
  IsHeldResponse,
  ListRequest,
  ListResponse,
  ReleaseRequest,
  ReleaseResponse,
  RenewRequest,
  RenewResponse,
} from "../gen/stormlock/v1/lock_pb.js";
import type { DepartureSignal } from "../lock/departure.js";
import { newLeaseId, type Lease } from "../lock/lease.js";
import { LIMITS } from "../lock/limits.js";
import type { Granted, LockManager } from "../lock/daemon/manager.js";
import { heldError, lostError } from "../lock/refusals.js";
import { leaseToMessage, NOT_HELD, optionalMs, RELEASED } from "./messages.js";

/** What a door knows of a call. */
export interface CallContext {
  /** Aborts when the caller has gone, has cancelled, or its deadline has passed. */
  readonly signal: DepartureSignal;
  /** Who the caller has proven to be; undefined where callers are not authenticated. */
  readonly identity: string | undefined;
}

/**
 * The one implementation of `stormlock.v1.LockService`, whatever door a call came by. Its answers
 * are spelt out: to have them made would load the library that encodes messages into every
 * command, and cost more than the rest.
 * Every method throws LockError for all that stops the caller.
 */
export class LockService {
  readonly #locks: LockManager;

  constructor(locks: LockManager) {
    this.#locks = locks;
  }

  async acquire(request: AcquireRequest, context: CallContext): Promise<AcquireResponse> {
    const outcome = await this.#locks.acquire(
      {
        resource: request.resource,
        leaseId: request.leaseId === "" ? newLeaseId() : request.leaseId,
        principal: context.identity ?? request.principal,
        ttlMs: optionalMs(request.ttl),
        waitMs: optionalMs(request.wait) ?? 0,
        reason: request.reason,
        labels: request.labels,
      },
      { signal: context.signal },
    );
    switch (outcome.kind) {
      case "granted":
        return { $typeName: "stormlock.v1.AcquireResponse", lease: this.#answered(outcome) };
      case "held":
        throw heldError(request.resource, outcome.holder);
      case "spent":
        throw lostError(request.resource);
    }
  }

  async renew(request: RenewRequest, _context: CallContext): Promise<RenewResponse> {
    const outcome = await this.#locks.renew({
      resource: request.resource,
      leaseId: request.leaseId,
      ttlMs: optionalMs(request.ttl),
    });
    if (outcome.kind === "lost") throw lostError(request.resource);
    return { $typeName: "stormlock.v1.RenewResponse", lease: this.#answered(outcome) };
  }

  async release(request: ReleaseRequest, _context: CallContext): Promise<ReleaseResponse> {
    const outcome = await this.#locks.release(request);
    return {
      $typeName: "stormlock.v1.ReleaseResponse",
      outcome: outcome === "released" ? RELEASED : NOT_HELD,
    };
  }

  async current(request: CurrentRequest, context: CallContext): Promise<CurrentResponse> {
    const lease = await this.#locks.current(request.resource);
    if (lease === undefined) return { $typeName: "stormlock.v1.CurrentResponse" };
    const isOwn = context.identity === undefined || context.identity === lease.principal;
    return {
      $typeName: "stormlock.v1.CurrentResponse",
      lease: leaseToMessage(lease, { withId: isOwn }),
    };
  }

  async isHeld(request: IsHeldRequest, _context: CallContext): Promise<IsHeldResponse> {
    return { $typeName: "stormlock.v1.IsHeldResponse", held: await this.#locks.isHeld(request) };
  }

  async list(request: ListRequest, context: CallContext): Promise<ListResponse> {
    const pageSize = request.pageSize === 0 ? LIMITS.defaultPageSize : request.pageSize;
    const { prefix, pageToken } = request;
    const page = await this.#locks.list({ prefix, pageSize, pageToken }, context.signal);
    return {
      $typeName: "stormlock.v1.ListResponse",
      leases: page.leases.map((lease: Lease) => leaseToMessage(lease, { withId: false })),
      nextPageToken: page.nextPageToken,
      unreadable: page.unreadable.map(({ resource, error }) => ({
        ...({ $typeName: "stormlock.v1.UnreadableResource", resource } as const),
        message: error.message,
      })),
    };
  }

  // What is left of a lease counts from before the store was asked, so the time that the
  // answer took is taken off.
  #answered({ lease, askedAtMs }: Granted): ReturnType<typeof leaseToMessage> {
    const elapsedMs = this.#locks.clock.monotonicMs() - askedAtMs;
    return leaseToMessage(lease, { withId: true, validForMs: lease.remainingMs - elapsedMs });
  }
}
