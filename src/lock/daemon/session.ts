// The daemon's side of one Hold stream. (Its leases and heartbeats: kept-leases.ts.)
//
//   N1. The end of a stream releases nothing: its leases live out their ttl, or are resumed.
//   N2. A grant that comes after the stream's end is taken back, if this stream's own ask created
//       it and nobody has touched it since.
//   N3. A lease is kept by the last stream of this daemon that asked for it.
//   N4. What is kept is what an ack can speak of: one lease id, one resource.
//   N5. What the holder is told to have lost is not kept: it may ask for the resource again at once.

import { sleep, type Clock } from "../clock.js";
import { AlreadyOnStream, denialOf } from "./denial.js";
import { Departure } from "../departure.js";
import { asLockError, LockError } from "../errors.js";
import type { DaemonSays, HolderSays } from "../hold.js";
import { KeptLeases, type Heartbeat } from "./kept-leases.js";
import { withoutId } from "../lease.js";
import { checkLeaseId, checkResource, LIMITS } from "../limits.js";
import type { Granted, LeaseName, LockManager } from "./manager.js";
import { heldError, lostError } from "../refusals.js";

/** How long a resume or a release is tried while the store does not answer, and how often. */
const STUBBORN_MS = 5000;
const RETRY_MS = 200;

type HolderAsks = Exclude<HolderSays, { kind: "heartbeat" }>;
type AcquireMessage = Extract<HolderSays, { kind: "acquire" }>;

interface Wait {
  readonly leaseId: string;
  readonly departure: Departure;
  /** What the holder knows of the ttl to come; Infinity until it has been told. */
  ttlMs: number;
  isReleased: boolean;
}

export interface SessionOptions {
  readonly locks: LockManager;
  /** Sends to the holder. */
  readonly say: (message: DaemonSays) => void;
  /** Who the holder has proven to be; undefined where nobody has to. */
  readonly identity: string | undefined;
  /** Which session of this daemon keeps which lease. */
  readonly keeping: Map<string, HoldSession>;
}

export class HoldSession {
  readonly #locks: LockManager;
  readonly #clock: Clock;
  readonly #say: (message: DaemonSays) => void;
  readonly #identity: string | undefined;
  readonly #keeping: Map<string, HoldSession>;
  readonly #waits = new Map<string, Wait>();
  readonly #ended = new AbortController();
  readonly #kept: KeptLeases;
  #busy = 0;

  constructor({ locks, say, identity, keeping }: SessionOptions) {
    this.#locks = locks;
    this.#clock = locks.clock;
    this.#say = say;
    this.#identity = identity;
    this.#keeping = keeping;
    this.#kept = new KeptLeases({
      locks,
      say,
      awaitedTtlMs: () => Math.min(...[...this.#waits.values()].map(({ ttlMs }) => ttlMs)),
      ended: this.#ended.signal,
      onLost: (resource, leaseId, cause) => {
        this.#unlist({ resource, leaseId });
        say({ kind: "lost", resource, leaseId, cause });
      },
    });
  }

  /** How many of the holder's resumes and releases are being worked on. (Acquires are bounded by
   *  the number of leases that a stream may have.) */
  get busy(): number {
    return this.#busy;
  }

  /** Whether a heartbeat has come. */
  get hasBegun(): boolean {
    return this.#kept.heartbeat !== undefined;
  }

  /** How many leases it keeps. */
  get leases(): number {
    return this.#kept.size;
  }

  /** The shortest ttl of all that it keeps; Infinity when it keeps none. */
  get smallestTtlMs(): number {
    return this.#kept.smallestTtlMs;
  }

  /**
   * Takes one message.
   * @throws LockError "invalid-field" when the holder breaks the protocol: end the stream with it
   */
  hear(message: HolderSays): void {
    if (message.kind === "heartbeat") {
      this.#kept.beat(message.seq);
      return;
    }
    const { heartbeat } = this.#kept;
    if (heartbeat === undefined) {
      throw new LockError(
        "invalid-field",
        `${message.kind} came before the first heartbeat; send a heartbeat first`,
        { field: "kind" },
      );
    }
    try {
      checkResource(message.resource);
      checkLeaseId(message.leaseId);
      if (message.kind !== "release") this.#checkRoom(message);
    } catch (thrown) {
      this.#deny(message, thrown);
      return;
    }
    const cost = message.kind === "acquire" ? 0 : 1;
    this.#busy += cost;
    void this.#answer(message).finally(() => {
      this.#busy -= cost;
    });
  }

  /** The stream is over (N1). */
  end(): void {
    this.#ended.abort(new LockError("cancelled", "the Hold stream has ended"));
    for (const { departure } of this.#waits.values()) departure.depart();
    for (const lease of this.#kept.leases) this.#unlist(lease);
  }

  async #answer(message: HolderAsks): Promise<void> {
    try {
      switch (message.kind) {
        case "acquire":
          await this.#acquire(message);
          return;
        case "resume":
          await this.#resume(message);
          return;
        case "release":
          await this.#release(message);
          return;
      }
    } catch (thrown) {
      if (!this.#ended.signal.aborted) this.#deny(message, thrown);
    }
  }

  async #acquire(message: AcquireMessage): Promise<void> {
    const { resource, leaseId, ttlMs: askedMs = Infinity } = message;
    const departure = new Departure();
    const wait: Wait = { leaseId, departure, ttlMs: askedMs, isReleased: false };
    this.#waits.set(resource, wait);
    try {
      const outcome = await this.#locks.acquire(
        { ...message, principal: this.#identity ?? message.principal },
        {
          signal: departure,
          onQueued: (position, lease, ttlMs) => {
            wait.ttlMs = ttlMs;
            const holder = lease === undefined ? undefined : withoutId(lease);
            this.#say({ kind: "queued", resource, position, holder, ttlMs });
          },
        },
      );
      switch (outcome.kind) {
        case "granted":
          if (wait.isReleased) await this.#locks.takeBack(outcome);
          else await this.#keep(outcome);
          return;
        case "held":
          throw heldError(resource, outcome.holder);
        case "spent":
          this.#drop({ resource, leaseId }); // N5
          throw lostError(resource);
      }
    } catch (thrown) {
      // A release of this wait has an answer of its own.
      if (!wait.isReleased) throw thrown;
    } finally {
      if (this.#waits.get(resource) === wait) this.#waits.delete(resource);
    }
  }

  async #resume({ resource, leaseId }: LeaseName): Promise<void> {
    const outcome = await this.#stubbornly(() => {
      const { atMs: signOfLifeAtMs } = this.#newest();
      return this.#locks.keep({ resource, leaseId, ttlMs: undefined, signOfLifeAtMs });
    });
    if (outcome.kind === "lost") {
      this.#drop({ resource, leaseId }); // N5
      if (!this.#ended.signal.aborted) {
        this.#say({ kind: "lost", resource, leaseId, cause: "not-held" });
      }
      return;
    }
    await this.#keep(outcome);
  }

  async #release({ resource, leaseId }: LeaseName): Promise<void> {
    const wait = this.#waits.get(resource);
    if (wait?.leaseId === leaseId) {
      this.#waits.delete(resource);
      wait.isReleased = true;
      wait.departure.depart();
    }
    this.#drop({ resource, leaseId });
    const outcome = await this.#releaseStubbornly({ resource, leaseId });
    // A resume that was on its way may have been answered in the meantime.
    this.#drop({ resource, leaseId });
    if (!this.#ended.signal.aborted) this.#say({ kind: "released", resource, leaseId, outcome });
  }

  // Where the store has left an ask unanswered, "not held" may be what that has brought about. A
  // holder would take it for a loss: he is told so only when he has asked again himself.
  async #releaseStubbornly(lease: LeaseName): Promise<"released" | "not-held"> {
    const unanswered: unknown[] = [];
    const outcome = await this.#stubbornly(async () => {
      try {
        return await this.#locks.release(lease);
      } catch (thrown) {
        unanswered.push(thrown);
        throw thrown;
      }
    });
    if (outcome === "not-held" && unanswered.length > 0) throw asLockError(unanswered[0]);
    return outcome;
  }

  // N2, N3, N4
  async #keep(granted: Granted): Promise<void> {
    if (this.#ended.signal.aborted) {
      await this.#locks.takeBack(granted);
      return;
    }
    const { leaseId, resource } = granted.lease;
    if ((this.#kept.resourceOf(leaseId) ?? resource) !== resource) {
      await this.#locks.takeBack(granted);
      throw new LockError(
        "invalid-field",
        "lease_id is that of another lease on this stream; make a new one for every lease",
        { field: "lease_id" },
      );
    }
    const name = nameOf(granted.lease);
    const before = this.#keeping.get(name);
    if (before !== undefined && before !== this) before.#handOver(granted.lease);
    this.#keeping.set(name, this);
    this.#kept.add(granted, this.#newest());
  }

  #handOver({ resource, leaseId }: LeaseName): void {
    if (!this.#kept.remove({ resource, leaseId })) return;
    this.#say({ kind: "lost", resource, leaseId, cause: "resumed-elsewhere" });
  }

  // Asks again while the store does not answer: what is asked for is safe to repeat.
  async #stubbornly<T>(ask: () => Promise<T>): Promise<T> {
    const untilMs = this.#clock.monotonicMs() + STUBBORN_MS;
    for (;;) {
      try {
        return await ask();
      } catch (thrown) {
        const error = asLockError(thrown);
        if (error.isDefinite || this.#clock.monotonicMs() + RETRY_MS >= untilMs) throw error;
        await sleep(this.#clock, RETRY_MS, this.#ended.signal);
      }
    }
  }

  #newest(): Heartbeat {
    const { heartbeat } = this.#kept;
    if (heartbeat === undefined) throw new LockError("internal", "no heartbeat has come yet");
    return heartbeat;
  }

  #checkRoom({ kind, resource, leaseId }: HolderAsks): void {
    const kept = this.#kept.leaseOf(resource);
    if (this.#waits.has(resource) || (kept !== undefined && kept !== leaseId)) {
      throw new AlreadyOnStream(resource);
    }
    if (kept === undefined && this.#kept.size + this.#waits.size >= LIMITS.leasesPerStream) {
      throw new LockError(
        "overloaded",
        `${kind} refused: a stream keeps ${String(LIMITS.leasesPerStream)} leases at the most; open another one`,
      );
    }
  }

  #deny({ resource, leaseId }: LeaseName, thrown: unknown): void {
    const { reason, message, holder } = denialOf(asLockError(thrown));
    this.#say({ kind: "denied", resource, leaseId, reason, message, holder });
  }

  #drop(lease: LeaseName): void {
    if (this.#kept.remove(lease)) this.#unlist(lease);
  }

  #unlist(lease: LeaseName): void {
    const name = nameOf(lease);
    if (this.#keeping.get(name) === this) this.#keeping.delete(name);
  }
}

// One text for both: a lease id has no spaces.
function nameOf({ resource, leaseId }: LeaseName): string {
  return `${leaseId} ${resource}`;
}
