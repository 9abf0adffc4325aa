import type { Lease as LeaseMessage } from "../gen/stormlock/v1/lock_pb.js";
import type { Clock } from "../lock/clock.js";
import { holderDeadlineMs } from "../lock/holder/deadline.js";
import { asLockError, LockError, type ErrorKind } from "../lock/errors.js";
import { newLeaseId, type Lease } from "../lock/lease.js";
import { LIMITS, checkWait } from "../lock/limits.js";
import { Asker, ATTEMPT_MS } from "./asker.js";
import type {
  AcquireOptions,
  AcquireResult,
  HeldLease,
  ListOptions,
  RenewResult,
  UnaryClientOptions,
} from "./client-contract.js";
import { durationOf, leaseFromMessage, RELEASED } from "./messages.js";
import type { AnswerOf, RequestOf, UnaryMethod, UnaryTransport } from "./transport.js";

export const DEFAULT_PATIENCE_MS = 10_000;
// How long a caller that gives up tries to take back what it may have been granted.
const FAREWELL_MS = 2000;
const NOTHING_DONE: ReadonlySet<ErrorKind> = new Set<ErrorKind>(["unreachable", "overloaded"]);
// The share of the ttl that may pass in a queue before a renewal must make it whole again.
const WAITED_SHARE = 0.1;

/**
 * Asks daemons for locks, one question at a time.
 *
 *   C1. No definite answer means asking again, at the next address, with the same lease id
 *       (asker.ts).
 *   C2. Who gives up without a definite answer releases that id.
 *   C3. Belief counts from before the question was sent. Time spent in a queue is spent: after
 *       a wait the lease is renewed once before it is handed out.
 *
 * Every method throws LockError: `kind` says why, `isDefinite` whether it is certain.
 */
export class UnaryClient implements AsyncDisposable {
  readonly #transports: readonly UnaryTransport[];
  readonly #clock: Clock;
  readonly #principal: string;
  readonly #newLeaseId: () => string;
  readonly #asker: Asker;

  constructor({
    transports,
    clock,
    random = Math.random,
    newLeaseId: makeLeaseId = newLeaseId,
    principal = "",
    patienceMs = DEFAULT_PATIENCE_MS,
  }: UnaryClientOptions) {
    if (transports.length === 0)
      throw new LockError("invalid-field", "no server address is given", { field: "servers" });
    this.#transports = transports;
    this.#clock = clock;
    this.#principal = principal;
    this.#newLeaseId = makeLeaseId;
    this.#asker = new Asker({ transports, clock, random, patienceMs });
  }

  /** Takes a lock, or tells who has it. */
  async acquire(resource: string, options: AcquireOptions = {}): Promise<AcquireResult> {
    const { signal } = options;
    const waitMs = Math.min(checkWait(options.waitMs ?? 0), LIMITS.waitMs);
    const waitUntilMs = this.#clock.monotonicMs() + waitMs;
    const asked = { leaseId: options.leaseId ?? this.#newLeaseId(), isUncertain: false };
    const attempt = async (transport: UnaryTransport): Promise<AcquireResult> => {
      const sentAtMs = this.#clock.monotonicMs();
      const waitLeftMs = Math.max(0, waitUntilMs - sentAtMs);
      try {
        const { lease } = await transport.unary(
          "acquire",
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
          asked.leaseId = this.#newLeaseId();
          asked.isUncertain = false;
          throw new LockError("unavailable", error.message, { cause: error });
        }
        asked.isUncertain ||= !error.isDefinite && !NOTHING_DONE.has(error.kind);
        throw error;
      }
    };
    try {
      const result = await this.#asker.ask(attempt, waitMs, signal);
      if (result.kind === "held") return result;
      asked.isUncertain = true; // until it has been handed out
      return await this.#afterWait(resource, result, waitMs, signal);
    } catch (thrown) {
      if (asked.isUncertain) await this.#farewell(resource, asked.leaseId);
      throw thrown;
    }
  }

  /** Extends a lease by its own ttl, or by another one. */
  async renew(
    resource: string,
    leaseId: string,
    options: { readonly ttlMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<RenewResult> {
    const ttl = options.ttlMs === undefined ? {} : { ttl: durationOf("ttl", options.ttlMs) };
    try {
      return await this.#asker.ask(
        async (transport, callOptions) => {
          const sentAtMs = this.#clock.monotonicMs();
          const request = { resource, leaseId, ...ttl };
          const { lease } = await transport.unary("renew", request, callOptions);
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
    const { outcome } = await this.#call("release", { resource, leaseId }, signal);
    return outcome === RELEASED ? "released" : "not-held";
  }

  /** Who holds a resource now. */
  async current(resource: string, signal?: AbortSignal): Promise<Lease | undefined> {
    const { lease } = await this.#call("current", { resource }, signal);
    return lease === undefined ? undefined : leaseFromMessage(lease);
  }

  /** Whether this lease held its resource when the store was asked. */
  async isHeld(resource: string, leaseId: string, signal?: AbortSignal): Promise<boolean> {
    const { held } = await this.#call("isHeld", { resource, leaseId }, signal);
    return held;
  }

  /** All leases held now on resources that begin so, in the order of their names' bytes. */
  async *list(
    prefix = "",
    { signal, onUnreadable }: ListOptions = {},
  ): AsyncGenerator<Lease, void> {
    let pageToken = "";
    let untold: LockError | undefined;
    do {
      const request = { prefix, pageToken, pageSize: 1000 };
      const page = await this.#call("list", request, signal);
      for (const lease of page.leases) yield leaseFromMessage(lease);
      for (const { resource, message } of page.unreadable) {
        if (onUnreadable === undefined) untold ??= new LockError("unavailable", message);
        else onUnreadable(resource, message);
      }
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    if (untold !== undefined) throw untold;
  }

  /** Closes the connections; what is being asked ends with them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.stopAsking();
    await Promise.all(this.#transports.map((transport) => transport[Symbol.asyncDispose]()));
  }

  /** Asks nothing new from now on. */
  protected stopAsking(): void {
    this.#asker.close();
  }

  #call<M extends UnaryMethod>(
    method: M,
    request: RequestOf<M>,
    signal: AbortSignal | undefined,
  ): Promise<AnswerOf<M>> {
    return this.#asker.ask(
      (transport, options) => transport.unary(method, request, options),
      0,
      signal,
    );
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

  // C2. Best effort: what cannot be released ends with its ttl. Not the caller's signal: it may be
  // why there is something to release.
  async #farewell(resource: string, leaseId: string): Promise<void> {
    const stop = new AbortController();
    const cancel = this.#clock.after(FAREWELL_MS, () => {
      stop.abort();
    });
    try {
      await this.#asker.ask(
        (transport, options) => transport.unary("release", { resource, leaseId }, options),
        0,
        stop.signal,
        FAREWELL_MS,
      );
    } catch {
      // Nobody can be told more than that there was no answer, and that is being said already.
    } finally {
      cancel();
    }
  }

  #held(message: LeaseMessage | undefined, sentAtMs: number): HeldLease {
    if (message === undefined)
      throw new LockError("internal", "the server answered without a lease");
    const lease = leaseFromMessage(message);
    return { lease, deadlineMs: holderDeadlineMs(sentAtMs, lease.remainingMs, lease.ttlMs) };
  }
}
