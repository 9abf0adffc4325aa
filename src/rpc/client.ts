import type {
  DescMessage,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import {
  LockService,
  ReleaseOutcome,
  type Lease as LeaseMessage,
} from "../gen/stormlock/v1/lock_pb.js";
import { sleep, type Clock } from "../lock/clock.js";
import { holderDeadlineMs } from "../lock/deadline.js";
import { asLockError, LockError } from "../lock/errors.js";
import { Keeper } from "../lock/keeper.js";
import { newLeaseId, type Lease } from "../lock/lease.js";
import type { Hold } from "../lock/wish.js";
import { LIMITS, checkWait } from "../lock/limits.js";
import { durationOf, leaseFromMessage } from "./messages.js";
import type { Transport } from "./transport.js";

/** A lease, and until when its holder may believe in it. */
export interface HeldLease {
  readonly lease: Lease;
  /**
   * On the client's monotonic clock, in milliseconds: from then on somebody else may hold the
   * lock. Renew before.
   */
  readonly deadlineMs: number;
}

export type AcquireResult =
  | ({ readonly kind: "granted" } & HeldLease)
  /** Somebody else holds it; `message` says who, since when and why. */
  | { readonly kind: "held"; readonly holder: Lease | undefined; readonly message: string };

export type RenewResult =
  ({ readonly kind: "renewed" } & HeldLease) | { readonly kind: "lost"; readonly message: string };

export interface AcquireOptions {
  /** Milliseconds the lease lives unless renewed; the server's default when left out. */
  readonly ttlMs?: number;
  /** Milliseconds to stand in the queue at the most; 0, the default, is not to wait. */
  readonly waitMs?: number;
  /** Your own lease id of at least 128 random bits, used once; made for you when left out. */
  readonly leaseId?: string;
  /** Who asks; the client's when left out. */
  readonly principal?: string;
  readonly reason?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Gives up, leaves the queue, and releases what may have been granted. */
  readonly signal?: AbortSignal;
}

export interface HoldOptions {
  /** Milliseconds the lease lives after the last heartbeat; the server's default when left out. */
  readonly ttlMs?: number;
  /** Milliseconds to stand in the queue at the most; without limit when left out. */
  readonly waitMs?: number;
  /** Who asks; the client's when left out. */
  readonly principal?: string;
  readonly reason?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Gives the wait up. Once the lock is held it means nothing: release it instead. */
  readonly signal?: AbortSignal;
  /** Called when the place in the queue, or the holder, has changed; at most once a second. */
  readonly onQueued?: (position: number, holder: Lease | undefined) => void;
}

export type HoldResult =
  /** It is held, and kept until `hold` is disposed of or lost. */
  | { readonly kind: "granted"; readonly hold: Hold }
  /** Somebody else holds it, and there was no time to wait, or no more. */
  | { readonly kind: "held"; readonly holder: Lease | undefined; readonly message: string };

export interface LockClientOptions {
  /** The ways to the daemons, in the order of preference. */
  readonly transports: readonly Transport[];
  readonly clock: Clock;
  /** Who asks, unless an acquire says otherwise. */
  readonly principal?: string;
  /** How long to go on asking when there is no definite answer; 10 s by default. */
  readonly patienceMs?: number;
}

const DEFAULT_PATIENCE_MS = 10_000;
// How long one attempt may take beyond its wait, before another address is tried.
const ATTEMPT_MS = 5000;
const FIRST_BACKOFF_MS = 50;
const LAST_BACKOFF_MS = 1000;
// How long a caller that gives up tries to take back what it may have been granted.
const FAREWELL_MS = 2000;
// The share of the ttl that may pass in a queue before a renewal must make it whole again.
const WAITED_SHARE = 0.1;

/**
 * Asks daemons for locks.
 *
 *   C1. No definite answer means asking again, at the next address, with the same lease id.
 *   C2. Who gives up without a definite answer releases that id.
 *   C3. Belief counts from before the question was sent. Time spent in a queue is spent: after
 *       a wait the lease is renewed once before it is handed out.
 *
 * Every method throws LockError: `kind` says why, `isDefinite` whether it is certain.
 */
export class LockClient implements AsyncDisposable {
  readonly #transports: readonly Transport[];
  readonly #clock: Clock;
  readonly #principal: string;
  readonly #patienceMs: number;
  #preferred = 0;
  #keeper: Keeper | undefined;
  #isClosed = false;

  constructor({
    transports,
    clock,
    principal = "",
    patienceMs = DEFAULT_PATIENCE_MS,
  }: LockClientOptions) {
    if (transports.length === 0)
      throw new LockError("invalid-field", "no server address is given", { field: "servers" });
    this.#transports = transports;
    this.#clock = clock;
    this.#principal = principal;
    this.#patienceMs = patienceMs;
  }

  /** Takes a lock, or tells who has it. */
  async acquire(resource: string, options: AcquireOptions = {}): Promise<AcquireResult> {
    const { signal } = options;
    const waitMs = Math.min(checkWait(options.waitMs ?? 0), LIMITS.waitMs);
    const waitUntilMs = this.#clock.monotonicMs() + waitMs;
    const asked = { leaseId: options.leaseId ?? newLeaseId(), isUncertain: false };
    const attempt = async (transport: Transport): Promise<AcquireResult> => {
      const sentAtMs = this.#clock.monotonicMs();
      const waitLeftMs = Math.max(0, waitUntilMs - sentAtMs);
      try {
        const { lease } = await transport.unary(
          LockService.method.acquire,
          {
            resource,
            leaseId: asked.leaseId,
            principal: options.principal ?? this.#principal,
            wait: durationOf("wait", Math.ceil(waitLeftMs)),
            reason: options.reason ?? "",
            labels: { ...options.labels },
            ...(options.ttlMs === undefined ? {} : { ttl: durationOf("ttl", options.ttlMs) }),
          },
          { timeoutMs: waitLeftMs + ATTEMPT_MS, ...(signal === undefined ? {} : { signal }) },
        );
        return { kind: "granted", ...this.#held(lease, sentAtMs) };
      } catch (thrown) {
        const error = asLockError(thrown);
        if (error.kind === "lock-held")
          return { kind: "held", holder: error.holder, message: error.message };
        // A first attempt was granted and taken back after its answer was lost. Nobody has
        // believed in that lease, so a new one is as good.
        if (error.kind === "lease-lost" && asked.isUncertain && options.leaseId === undefined) {
          asked.leaseId = newLeaseId();
          asked.isUncertain = false;
          throw new LockError("unavailable", error.message, { cause: error });
        }
        asked.isUncertain ||= !error.isDefinite && error.kind !== "unreachable";
        throw error;
      }
    };
    try {
      const result = await this.#persist(attempt, waitMs, signal);
      if (result.kind === "held") return result;
      asked.isUncertain = true; // until it has been handed out
      return await this.#afterWait(resource, result, waitMs, signal);
    } catch (thrown) {
      if (asked.isUncertain) await this.#farewell(resource, asked.leaseId);
      throw thrown;
    }
  }

  /**
   * Takes a lock and keeps it, over a stream to whichever daemon answers, until it is disposed of
   * or lost. All holds of a client share one stream.
   */
  async hold(resource: string, options: HoldOptions = {}): Promise<HoldResult> {
    const { ttlMs, waitMs = Infinity, reason = "", labels = {}, signal, onQueued } = options;
    this.#keeper ??= new Keeper({
      links: this.#transports.map((transport) => (events) => transport.hold(events)),
      clock: this.#clock,
      random: Math.random,
      patienceMs: this.#patienceMs,
    });
    const outcome = await this.#keeper.hold({
      ...{ resource, ttlMs, waitMs, reason, labels },
      principal: options.principal ?? this.#principal,
      ...(signal === undefined ? {} : { signal }),
      ...(onQueued === undefined ? {} : { onQueued }),
    });
    return outcome.kind === "held"
      ? { kind: "granted", hold: outcome.hold }
      : { kind: "held", holder: outcome.holder, message: outcome.message };
  }

  /** Extends a lease by its own ttl, or by another one. */
  async renew(
    resource: string,
    leaseId: string,
    options: { readonly ttlMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<RenewResult> {
    const ttl = options.ttlMs === undefined ? {} : { ttl: durationOf("ttl", options.ttlMs) };
    try {
      return await this.#persist(
        async (transport, callOptions) => {
          const sentAtMs = this.#clock.monotonicMs();
          const request = { resource, leaseId, ...ttl };
          const { lease } = await transport.unary(LockService.method.renew, request, callOptions);
          return { kind: "renewed", ...this.#held(lease, sentAtMs) } as const;
        },
        0,
        options.signal,
      );
    } catch (thrown) {
      if (thrown instanceof LockError && thrown.kind === "lease-lost") {
        return { kind: "lost", message: thrown.message };
      }
      throw thrown;
    }
  }

  /** Ends a lease; harmless when it has ended already. */
  async release(
    resource: string,
    leaseId: string,
    signal?: AbortSignal,
  ): Promise<"released" | "not-held"> {
    const { outcome } = await this.#call(LockService.method.release, { resource, leaseId }, signal);
    return outcome === ReleaseOutcome.RELEASED ? "released" : "not-held";
  }

  /** Who holds a resource now. */
  async current(resource: string, signal?: AbortSignal): Promise<Lease | undefined> {
    const { lease } = await this.#call(LockService.method.current, { resource }, signal);
    return lease === undefined ? undefined : leaseFromMessage(lease);
  }

  /** Whether this lease held its resource when the store was asked. */
  async isHeld(resource: string, leaseId: string, signal?: AbortSignal): Promise<boolean> {
    const { held } = await this.#call(LockService.method.isHeld, { resource, leaseId }, signal);
    return held;
  }

  /** All leases held now on resources that begin so, in the order of their names' bytes. */
  async *list(prefix = "", signal?: AbortSignal): AsyncGenerator<Lease, void> {
    let pageToken = "";
    do {
      const request = { prefix, pageToken, pageSize: 1000 };
      const page = await this.#call(LockService.method.list, request, signal);
      for (const lease of page.leases) yield leaseFromMessage(lease);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /** Releases what is held by `hold`, and closes the connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#keeper?.[Symbol.asyncDispose]();
    await Promise.all(this.#transports.map((transport) => transport[Symbol.asyncDispose]()));
  }

  #call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    signal: AbortSignal | undefined,
  ): Promise<MessageShape<O>> {
    return this.#persist(
      (transport, options) => transport.unary(method, request, options),
      0,
      signal,
    );
  }

  // C1. Asks until there is a definite answer, or patience has run out.
  async #persist<T>(
    attempt: (
      transport: Transport,
      options: { signal?: AbortSignal; timeoutMs: number },
    ) => Promise<T>,
    waitMs: number,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const giveUpAtMs = this.#clock.monotonicMs() + waitMs + this.#patienceMs;
    let backoffMs = FIRST_BACKOFF_MS;
    for (let tries = 1; ; tries++) {
      if (this.#isClosed) throw new LockError("cancelled", "this client is closed");
      const transport = this.#transports[this.#preferred % this.#transports.length];
      if (transport === undefined) throw new LockError("internal", "no server address");
      try {
        const leftMs = giveUpAtMs - this.#clock.monotonicMs();
        const timeoutMs = Math.min(ATTEMPT_MS, leftMs);
        return await attempt(transport, { timeoutMs, ...(signal === undefined ? {} : { signal }) });
      } catch (thrown) {
        const error = asLockError(thrown);
        if (error.isDefinite || error.kind === "internal" || signal?.aborted === true) throw error;
        if (this.#clock.monotonicMs() + backoffMs >= giveUpAtMs) throw error;
        this.#preferred += 1;
        // A round over all addresses comes without a pause; the next one waits.
        if (tries % this.#transports.length === 0) {
          await this.#pause(backoffMs, signal);
          backoffMs = Math.min(backoffMs * 2, LAST_BACKOFF_MS);
        }
      }
    }
  }

  async #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    try {
      await sleep(this.#clock, ms, signal);
    } catch (thrown) {
      throw new LockError("cancelled", "the caller gave up asking", { cause: thrown });
    }
  }

  // C3
  async #afterWait(
    resource: string,
    granted: Extract<AcquireResult, { kind: "granted" }>,
    waitMs: number,
    signal: AbortSignal | undefined,
  ): Promise<AcquireResult> {
    const { lease } = granted;
    const wholeMs = holderDeadlineMs(this.#clock.monotonicMs(), lease.ttlMs, lease.ttlMs);
    if (waitMs === 0 || wholeMs - granted.deadlineMs < WAITED_SHARE * lease.ttlMs) return granted;
    const options = signal === undefined ? {} : { signal };
    const renewed = await this.renew(resource, lease.leaseId, options);
    if (renewed.kind === "renewed") return { ...renewed, kind: "granted" };
    return { kind: "held", holder: undefined, message: renewed.message };
  }

  // C2. Best effort: what cannot be released ends with its ttl.
  async #farewell(resource: string, leaseId: string): Promise<void> {
    const signal = new AbortController();
    const stop = this.#clock.after(FAREWELL_MS, () => {
      signal.abort();
    });
    try {
      await this.release(resource, leaseId, signal.signal);
    } catch {
      // Nobody can be told more than that there was no answer, and that is being said already.
    } finally {
      stop();
    }
  }

  #held(message: LeaseMessage | undefined, sentAtMs: number): HeldLease {
    if (message === undefined)
      throw new LockError("internal", "the server answered without a lease");
    const lease = leaseFromMessage(message);
    return { lease, deadlineMs: holderDeadlineMs(sentAtMs, lease.remainingMs, lease.ttlMs) };
  }
}
