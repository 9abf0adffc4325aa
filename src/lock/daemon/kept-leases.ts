// The leases of one Hold stream, and the heartbeats that keep them.
//
//   R1. No heartbeat, no renewal: a renewal rests on the newest heartbeat, and asks for no more
//       life than it would have given when that heartbeat came.
//   R2. What is left of a lease counts from before the store was asked, on a clock read after
//       the heartbeat came that a message echoes.
//   R3. An ack speaks of every lease that was granted on this stream before it.
//   R4. One slow store, or one short lease, costs the others nothing: it is told of as behind.
//   R5. Heartbeats that come together are one: the newest. While renewals are on their way there is
//       one round of acknowledgements, whatever comes: a newer heartbeat is echoed in its place.

import { sleep, type Clock } from "../clock.js";
import { LockError } from "../errors.js";
import { heartbeatPeriodMs, type DaemonSays, type LossCause } from "../hold.js";
import type { Granted, LeaseName, LockManager } from "./manager.js";

/** A lease whose last renewal is younger than this share of its ttl is left alone. */
const FRESH_SHARE = 1 / 4;

/** A renewal is tried again while the heartbeat it rests on is younger than this share. */
const RETRY_SHARE = 1 / 3;

/** A lease with less than this share of its ttl left is told of by itself. */
const BEHIND_SHARE = 1 / 2;

/** An ack waits for the stores for this share of the time between two heartbeats. */
const ACK_SHARE = 1 / 4;

// How soon a failed renewal is repeated: doubled from the first to the second.
const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1000;

export interface Heartbeat {
  readonly seq: number;
  /** When it came, on the daemon's clock. */
  readonly atMs: number;
}

interface Kept {
  readonly resource: string;
  readonly leaseId: string;
  readonly ttlMs: number;
  /** From when its ttl counts: when the heartbeat came that it was renewed for, or it was asked for. */
  sinceMs: number;
  /** Until when the lease is certainly the holder's, on the daemon's clock. */
  validUntilMs: number;
  /** The renewal that is on its way. */
  renewal: Promise<void> | undefined;
}

/** Acknowledgements while renewals are on their way (R5). */
interface Round {
  /** What was told last: of which heartbeat, and how many renewals had come to an end. */
  told: { readonly heartbeat: Heartbeat; readonly done: number } | undefined;
  stop: () => void;
}

export class KeptLeases {
  readonly #locks: LockManager;
  readonly #clock: Clock;
  readonly #say: (message: DaemonSays) => void;
  readonly #onLost: (resource: string, leaseId: string, cause: LossCause) => void;
  readonly #awaitedTtlMs: () => number;
  readonly #ended: AbortSignal;
  readonly #byId = new Map<string, Kept>();
  readonly #byResource = new Map<string, Kept>();
  #heartbeat: Heartbeat | undefined;
  #isToServe = false;
  // How many renewals are on their way, and how many have come to an end.
  #underWay = 0;
  #done = 0;
  // The newest heartbeat that renewals have been begun for.
  #served: Heartbeat | undefined;
  #round: Round | undefined;
  // The newest pause of renewals that have failed.
  #pausing = { atMs: -Infinity, over: Promise.resolve() };

  constructor(options: {
    readonly locks: LockManager;
    readonly say: (message: DaemonSays) => void;
    /** Called after a lease has been taken out because it is no longer held. */
    readonly onLost: (resource: string, leaseId: string, cause: LossCause) => void;
    /** The shortest ttl that the holder awaits on this stream; Infinity when it awaits none. */
    readonly awaitedTtlMs: () => number;
    /** Aborts when the stream is over: nothing is renewed after it. */
    readonly ended: AbortSignal;
  }) {
    this.#locks = options.locks;
    this.#clock = options.locks.clock;
    this.#say = options.say;
    this.#onLost = options.onLost;
    this.#awaitedTtlMs = options.awaitedTtlMs;
    this.#ended = options.ended;
  }

  get size(): number {
    return this.#byId.size;
  }

  get leases(): Iterable<LeaseName> {
    return this.#byId.values();
  }

  /** The newest heartbeat; undefined before the first. */
  get heartbeat(): Heartbeat | undefined {
    return this.#heartbeat;
  }

  /** The shortest ttl of all; Infinity when there is none. */
  get smallestTtlMs(): number {
    let smallest = Infinity;
    for (const { ttlMs } of this.#byId.values()) smallest = Math.min(smallest, ttlMs);
    return smallest;
  }

  /** The id of the lease that is kept for a resource. */
  leaseOf(resource: string): string | undefined {
    return this.#byResource.get(resource)?.leaseId;
  }

  /** The resource for which a lease is kept. */
  resourceOf(leaseId: string): string | undefined {
    return this.#byId.get(leaseId)?.resource;
  }

  /** Keeps what was granted, and tells the holder. */
  add({ lease, askedAtMs }: Granted, heartbeat: Heartbeat): void {
    const { resource, leaseId, ttlMs } = lease;
    const validUntilMs = askedAtMs + lease.remainingMs;
    const kept: Kept = {
      ...{ resource, leaseId, ttlMs, validUntilMs, sinceMs: askedAtMs, renewal: undefined },
    };
    this.#byId.set(leaseId, kept);
    this.#byResource.set(resource, kept);
    const validForMs = Math.max(0, validUntilMs - heartbeat.atMs);
    this.#say({ kind: "granted", lease, seq: heartbeat.seq, validForMs });
  }

  /** Keeps a lease no longer. */
  remove({ resource, leaseId }: LeaseName): boolean {
    const kept = this.#byId.get(leaseId);
    if (kept?.resource !== resource) return false;
    this.#byId.delete(leaseId);
    if (this.#byResource.get(resource) === kept) this.#byResource.delete(resource);
    return true;
  }

  /**
   * Renews what is due, and acknowledges.
   * @throws LockError "invalid-field" when the heartbeat goes backwards
   */
  beat(seq: number): void {
    const last = this.#heartbeat?.seq ?? 0;
    if (!(seq > last)) {
      throw new LockError(
        "invalid-field",
        `heartbeat ${String(seq)} came after heartbeat ${String(last)}; a seq must be greater than every one before`,
        { field: "seq" },
      );
    }
    this.#heartbeat = { seq, atMs: this.#clock.monotonicMs() };
    if (this.#isToServe) return;
    this.#isToServe = true;
    this.#clock.endOfTurn(() => {
      this.#isToServe = false;
      if (this.#heartbeat !== undefined && !this.#ended.aborted) this.#serve(this.#heartbeat);
    });
  }

  #serve(heartbeat: Heartbeat): void {
    this.#served = heartbeat;
    for (const kept of this.#byId.values()) {
      const isFresh = heartbeat.atMs - kept.sinceMs <= FRESH_SHARE * kept.ttlMs;
      if (kept.renewal === undefined && !isFresh) {
        this.#underWay += 1;
        kept.renewal = this.#renew(kept).finally(() => {
          kept.renewal = undefined;
          this.#underWay -= 1;
          this.#done += 1;
          if (this.#underWay === 0) this.#endRound();
        });
      }
    }
    if (this.#underWay === 0) this.#acknowledge(heartbeat);
    else if (this.#round === undefined) this.#beginRound();
  }

  // With what is known after a while; again, as time goes by, when there is more to tell, so that the
  // slowest renewal keeps no other's from its holder (R4). (The holder beats, and takes silence for
  // an end, by the shortest ttl of all, awaited or kept.)
  #beginRound(): void {
    const round: Round = { told: undefined, stop: ignore };
    this.#round = round;
    const arm = (): void => {
      const ttlMs = Math.min(this.smallestTtlMs, this.#awaitedTtlMs());
      round.stop = this.#clock.after(heartbeatPeriodMs(ttlMs) * ACK_SHARE, look);
    };
    const look = (): void => {
      const { told } = round;
      if (this.#ended.aborted) return;
      if (told?.done !== this.#done || told.heartbeat !== this.#served) this.#tell(round);
      arm();
    };
    arm();
  }

  // And once more when all is known.
  #endRound(): void {
    this.#round?.stop();
    const round = this.#round;
    this.#round = undefined;
    if (round !== undefined && !this.#ended.aborted) this.#tell(round);
  }

  #tell(round: Round): void {
    if (this.#served === undefined) return;
    round.told = { heartbeat: this.#served, done: this.#done };
    this.#acknowledge(this.#served);
  }

  // R1, R2
  async #renew(kept: Kept): Promise<void> {
    const { resource, leaseId, ttlMs } = kept;
    for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)) {
      if (this.#byId.get(leaseId) !== kept || this.#ended.aborted) return;
      try {
        const signOfLifeAtMs = this.#heartbeat?.atMs ?? -Infinity;
        const { validUntilMs } = kept;
        const wish = { resource, leaseId, ttlMs, signOfLifeAtMs, validUntilMs };
        const outcome = await this.#locks.keep(wish);
        if (this.#byId.get(leaseId) !== kept) return;
        if (outcome.kind === "lost") {
          this.#lose(kept, "not-held");
        } else {
          // Not when the store was asked: where that takes long, the next heartbeat would find the
          // lease fresh, and leave it with what the one after that leaves it.
          kept.sinceMs = signOfLifeAtMs;
          kept.validUntilMs = Math.max(
            kept.validUntilMs,
            outcome.askedAtMs + outcome.lease.remainingMs,
          );
        }
        return;
      } catch {
        // The store has not answered: the holder hears of it as a lease that is behind.
        if (this.#ageMs() + retryMs >= RETRY_SHARE * ttlMs) break;
        try {
          await this.#pause(retryMs);
        } catch {
          return;
        }
      }
    }
    if (kept.validUntilMs <= this.#clock.monotonicMs()) this.#lose(kept, "expired");
  }

  // Who fails together waits together, with one alarm and one listener, and asks in one batch.
  #pause(ms: number): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    const { atMs, over } = this.#pausing;
    if (atMs >= nowMs + ms / 2 && atMs <= nowMs + ms) return over;
    this.#pausing = { atMs: nowMs + ms, over: sleep(this.#clock, ms, this.#ended) };
    return this.#pausing.over;
  }

  #ageMs(): number {
    return this.#clock.monotonicMs() - (this.#heartbeat?.atMs ?? -Infinity);
  }

  #lose(kept: Kept, cause: LossCause): void {
    if (this.remove(kept) && !this.#ended.aborted) this.#onLost(kept.resource, kept.leaseId, cause);
  }

  // R3, R4
  #acknowledge(heartbeat: Heartbeat): void {
    const behind: { leaseId: string; validForMs: number }[] = [];
    let validShare = 1;
    for (const { leaseId, ttlMs, validUntilMs } of this.#byId.values()) {
      const validForMs = Math.max(0, validUntilMs - heartbeat.atMs);
      const share = validForMs / ttlMs;
      if (share < BEHIND_SHARE) behind.push({ leaseId, validForMs });
      else validShare = Math.min(validShare, share);
    }
    this.#say({ kind: "heartbeat-ack", seq: heartbeat.seq, validShare, behind });
  }
}

function ignore(): void {
  // Nothing to stop yet.
}
