// The holder's side of Hold streams: any number of leases, one stream at a time, one timer.
// (What may be believed of a lease: belief.ts.)
//
//   K4. An ack speaks of the leases that were granted on its own stream before it, no others.
//   K5. A broken stream is not a loss: every lease is resumed on the next address, until its
//       deadline; every wait is asked for again with the same lease id.
//   K6. Who releases stops believing before the release is sent.
//   K7. The end of belief alone releases nothing before the lease would have ended anyway.
//   K8. A stream that leaves a heartbeat unanswered is left for the next address. What has arrived
//       is read first, and who speaks is not silent: a busy daemon, or a pause of ours, is no end.

import type { Clock } from "./clock.js";
import type { DeadlineRule } from "./belief.js";
import { LockError } from "./errors.js";
import { heartbeatPeriodMs, type DaemonSays } from "./hold.js";
import type { Lease } from "./lease.js";
import type { HoldOutcome, HoldWish } from "./holding.js";
import type { OpenLink } from "./link.js";
import { Route } from "./route.js";
import { Stream } from "./stream.js";
import { Wish } from "./wish.js";

export interface KeeperOptions {
  /** One for each address, in the order of preference. */
  readonly links: readonly OpenLink[];
  readonly clock: Clock;
  /** From 0 to 1: spreads the reconnects of many holders. */
  readonly random: () => number;
  /** How long to look for a daemon that answers before a wait is given up; 10 s by default. */
  readonly patienceMs?: number;
  /** For tests of the rule itself. */
  readonly deadlineOf?: DeadlineRule;
}

const DEFAULT_PATIENCE_MS = 10_000;
// A heartbeat is answered within a quarter of the period; with a whole period gone, or this much,
// the daemon is not there, whatever its connection says.
const LONGEST_SILENCE_MS = 5000;
const SHORTEST_SILENCE_MS = 250;
// No ttl that makes sense asks for more; a daemon's nonsense shall not make a holder flood it.
const SHORTEST_PERIOD_MS = 100;

export class Keeper implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #route: Route;
  readonly #patienceMs: number;
  readonly #deadlineOf: DeadlineRule | undefined;
  readonly #wishes = new Map<string, Wish>();
  #stream: Stream | undefined;
  // Since when nobody answers; undefined while somebody does.
  #aloneSinceMs: number | undefined;
  #lastError: LockError | undefined;
  #seq = 0;
  #alarm: { readonly atMs: number; readonly cancel: () => void } | undefined;
  #isLookingSoon = false;
  #mustBeat = false;
  #isClosed = false;

  constructor(options: KeeperOptions) {
    this.#clock = options.clock;
    this.#route = new Route(options);
    this.#patienceMs = options.patienceMs ?? DEFAULT_PATIENCE_MS;
    this.#deadlineOf = options.deadlineOf;
  }

  /**
   * Takes a lock and keeps it until it is released or lost. One that is being released, or was
   * lost, can be asked for again: the ask waits until the daemon has let the old lease go.
   * @throws LockError when it cannot be had: `kind` says why
   */
  async hold(wish: HoldWish): Promise<HoldOutcome> {
    const { resource } = wish;
    const askedAtMs = this.#clock.monotonicMs();
    for (;;) {
      const earlier = this.#wishes.get(resource);
      if (earlier === undefined) break;
      if (earlier.phase === "asking" || earlier.phase === "holding") {
        throw new LockError(
          "invalid-field",
          `${resource} is held or awaited by this client already`,
          { field: "resource" },
        );
      }
      await orAborted(earlier.gone, wish);
      this.#forget(earlier);
    }
    if (this.#isClosed) throw new LockError("cancelled", "this client is closed");
    const waitMs = Math.max(0, wish.waitMs - (this.#clock.monotonicMs() - askedAtMs));
    const mine = new Wish({ ...wish, waitMs }, this.#clock, this.#deadlineOf, () => {
      this.#lookSoon();
    });
    this.#wishes.set(resource, mine);
    this.#lookSoon();
    return mine.outcome;
  }

  /** Releases everything, and waits for the answers as long as they can matter. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#wishes.values()].map((wish) => wish.release()));
    this.#alarm?.cancel();
    this.#alarm = undefined;
    this.#stream?.link.close();
    this.#stream = undefined;
  }

  // ——— what is due ———

  #lookSoon(): void {
    if (this.#isLookingSoon) return;
    this.#isLookingSoon = true;
    this.#clock.endOfTurn(() => {
      this.#isLookingSoon = false;
      this.#look();
    });
  }

  #look(): void {
    const nowMs = this.#clock.monotonicMs();
    const patienceMs = this.#patienceNowMs();
    for (const wish of this.#wishes.values()) {
      wish.look(nowMs);
      if (wish.isOpen) this.#giveUpIfAlone(wish, nowMs, patienceMs);
      if (wish.phase === "over") this.#forget(wish);
    }
    if (this.#wishes.size > 0) {
      if (this.#stream !== undefined && nowMs >= this.#silentUntilMs()) {
        this.#leave(new LockError("unavailable", "the daemon has left a heartbeat unanswered")); // K8
      }
      if (this.#stream === undefined && nowMs >= this.#route.connectAtMs) this.#connect();
      if (this.#stream !== undefined) this.#speak(this.#stream, nowMs);
    }
    this.#setAlarm();
  }

  #forget(wish: Wish): void {
    if (this.#wishes.get(wish.resource) !== wish) return;
    this.#wishes.delete(wish.resource);
    this.#stream?.granted.delete(wish.leaseId);
  }

  // Says what has not been said on this stream: a heartbeat first, then what it carries.
  #speak(stream: Stream, nowMs: number): void {
    const due = [...this.#wishes.values()].filter((wish) => nowMs >= wish.speakAtMs);
    const isPeriodOver = nowMs >= stream.lastBeatAtMs + this.#periodMs();
    if (due.length > 0 || isPeriodOver || this.#mustBeat) this.#beat(stream);
    for (const wish of due) stream.link.say(wish.nextMessage(nowMs));
  }

  #beat(stream: Stream): void {
    this.#mustBeat = false;
    this.#seq += 1;
    stream.beat(this.#seq);
    this.#aloneSinceMs ??= stream.lastBeatAtMs;
  }

  #connect(): void {
    const { open } = this.#route;
    if (open === undefined) return;
    const link = open({
      heard: (message) => {
        if (this.#stream === stream) this.#heard(stream, message);
      },
      closed: (error) => {
        if (this.#stream === stream) this.#leave(error);
      },
    });
    const stream = new Stream(link, this.#clock, this.#seq);
    this.#stream = stream;
    for (const wish of this.#wishes.values()) wish.onNewStream();
  }

  // K5
  #leave(error: LockError): void {
    this.#stream?.link.close();
    this.#stream = undefined;
    this.#lastError = error;
    this.#route.fail();
    if (error.kind === "unreachable") for (const wish of this.#wishes.values()) wish.onUnheard();
    if (error.isDefinite) for (const wish of this.#wishes.values()) wish.refuse(error);
    this.#lookSoon();
  }

  #giveUpIfAlone(wish: Wish, nowMs: number, patienceMs: number): void {
    if (nowMs < this.#aloneUntilMs(wish, patienceMs)) return;
    const last = this.#lastError;
    const why = last?.message ?? `no daemon has answered whether ${wish.resource} can be had`;
    wish.refuse(
      new LockError(last?.kind === "unreachable" ? "unreachable" : "unavailable", why, {
        cause: last,
      }),
    );
  }

  // A daemon that is being talked to has the time to answer.
  #patienceNowMs(): number {
    return this.#stream === undefined
      ? this.#patienceMs
      : Math.max(this.#patienceMs, this.#silenceMs());
  }

  // A daemon with nothing to say is no reason to give up: only one that leaves a heartbeat
  // unanswered. A wait that is over is refused by the daemon itself, if there is one.
  #aloneUntilMs(wish: Wish, patienceMs: number): number {
    const sinceMs = Math.max(wish.askedSinceMs, this.#aloneSinceMs ?? Infinity);
    return Math.min(sinceMs + patienceMs, wish.giveUpAtMs);
  }

  // ——— what is heard ———

  #heard(stream: Stream, message: DaemonSays): void {
    this.#aloneSinceMs = undefined;
    this.#route.succeed(stream.hear());
    switch (message.kind) {
      case "heartbeat-ack":
        this.#onAck(stream, message);
        break;
      case "granted":
        this.#onGranted(stream, message);
        break;
      case "draining":
        this.#leave(new LockError("unavailable", "the daemon is about to stop"));
        break;
      case "queued":
        this.#wishes
          .get(message.resource)
          ?.onQueued(message.position, message.holder, message.ttlMs);
        break;
      case "denied":
      case "lost":
      case "released":
        if (message.kind !== "denied") stream.granted.delete(message.leaseId);
        this.#wishOf(message)?.hear(message);
        break;
    }
    this.#lookSoon();
  }

  #onAck(stream: Stream, ack: Extract<DaemonSays, { kind: "heartbeat-ack" }>): void {
    const sentAtMs = stream.sentAtMs(ack.seq);
    if (sentAtMs === undefined) return;
    stream.acknowledge(ack.seq);
    const behind = new Map(ack.behind.map(({ leaseId, validForMs }) => [leaseId, validForMs]));
    for (const wish of this.#wishes.values()) {
      if (!stream.granted.has(wish.leaseId)) continue; // K4
      wish.confirm(sentAtMs, behind.get(wish.leaseId) ?? ack.validShare * wish.ttlMs);
    }
  }

  #onGranted(
    stream: Stream,
    { lease, seq, validForMs }: Extract<DaemonSays, { kind: "granted" }>,
  ): void {
    const wish = this.#wishOf(lease);
    if (wish === undefined) {
      // Nobody wants it any more, and nobody has believed in it.
      stream.link.say({ kind: "release", resource: lease.resource, leaseId: lease.leaseId });
      return;
    }
    stream.granted.add(lease.leaseId);
    const sentAtMs = stream.sentAtMs(seq) ?? -Infinity;
    wish.onGranted(lease, sentAtMs, validForMs);
    this.#mustBeat = true;
  }

  #wishOf({ resource, leaseId }: Pick<Lease, "resource" | "leaseId">): Wish | undefined {
    const wish = this.#wishes.get(resource);
    return wish?.leaseId === leaseId ? wish : undefined;
  }

  // ——— when to look again ———

  #periodMs(): number {
    let smallestTtlMs = Infinity;
    for (const { ttlMs } of this.#wishes.values()) smallestTtlMs = Math.min(smallestTtlMs, ttlMs);
    return Math.max(heartbeatPeriodMs(smallestTtlMs), SHORTEST_PERIOD_MS);
  }

  #silenceMs(): number {
    return Math.min(Math.max(this.#periodMs(), SHORTEST_SILENCE_MS), LONGEST_SILENCE_MS);
  }

  #silentUntilMs(): number {
    return this.#stream?.silentUntilMs(this.#silenceMs()) ?? Infinity;
  }

  // One alarm for everything, set again after every look: no timer for each lease.
  #setAlarm(): void {
    let atMs = Infinity;
    if (this.#wishes.size > 0) {
      const stream = this.#stream;
      atMs =
        stream === undefined
          ? this.#route.connectAtMs
          : Math.min(this.#silentUntilMs(), stream.lastBeatAtMs + this.#periodMs());
      const patienceMs = this.#patienceNowMs();
      for (const wish of this.#wishes.values()) {
        atMs = Math.min(atMs, wish.lookAtMs, stream === undefined ? Infinity : wish.speakAtMs);
        if (wish.isOpen) atMs = Math.min(atMs, this.#aloneUntilMs(wish, patienceMs));
      }
    }
    if (this.#alarm?.atMs === atMs) return;
    this.#alarm?.cancel();
    this.#alarm = undefined;
    if (atMs === Infinity) return;
    const delayMs = Math.max(0, atMs - this.#clock.monotonicMs());
    const cancel = this.#clock.after(delayMs, () => {
      this.#alarm = undefined;
      this.#lookSoon(); // K8: when what has arrived has been read
    });
    this.#alarm = { atMs, cancel };
  }
}

async function orAborted(done: Promise<unknown>, { resource, signal }: HoldWish): Promise<void> {
  const stopped = new LockError("cancelled", `the wait for ${resource} was given up`);
  if (signal?.aborted === true) throw stopped;
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      reject(stopped);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    void done.then(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
  });
}
