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
//       Where all addresses are silent each gets twice the time in the next round.
//   K10. A stream that answers is left as well, while there is another address: when it does not
//       confirm what is held and a quarter of the ttl is left (belief.ts), or when the daemon's
//       store has no answer for one who asks and nobody stands in a queue there. All addresses are
//       tried for that at once; then each is stayed with for longer and longer (route.ts).
//   K11. What is abandoned is kept no longer: the stream that it was granted on is left, since a
//       heartbeat speaks for all of a stream, and the others are resumed on another.

import type { Clock } from "../clock.js";
import type { DeadlineRule } from "./belief.js";
import { LockError } from "../errors.js";
import type { DaemonSays } from "../hold.js";
import type { HoldOutcome, HoldWish } from "./holding.js";
import { LIMITS } from "../limits.js";
import type { OpenLink } from "./link.js";
import { orAborted } from "./or-aborted.js";
import { Patience } from "./patience.js";
import { stoppingError } from "../refusals.js";
import { Route } from "./route.js";
import { Stream } from "./stream.js";
import { Wish } from "./wish.js";
import { Wishes } from "./wishes.js";

export interface KeeperOptions {
  /** One for each address, in the order of preference. */
  readonly links: readonly OpenLink[];
  readonly clock: Clock;
  /** From 0 to 1: spreads the reconnects of many holders. */
  readonly random: () => number;
  /**
   * How long to look for a daemon that answers before a wait that stands in no queue is given up;
   * 10 s by default.
   */
  readonly patienceMs?: number;
  /** For tests of the rule itself. */
  readonly deadlineOf?: DeadlineRule;
}

const DEFAULT_PATIENCE_MS = 10_000;
// A heartbeat is answered within a quarter of the period; with a whole period gone, or this much,
// the daemon is not there, whatever its connection says.
const LONGEST_SILENCE_MS = 5000;
const SHORTEST_SILENCE_MS = 250;
export class Keeper implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #route: Route;
  readonly #patience: Patience;
  readonly #deadlineOf: DeadlineRule | undefined;
  readonly #wishes = new Wishes();
  #stream: Stream | undefined;
  #seq = 0;
  #alarm: { readonly atMs: number; readonly cancel: () => void } | undefined;
  #isLookingSoon = false;
  #mustBeat = false;
  #isClosed = false;

  constructor(options: KeeperOptions) {
    this.#clock = options.clock;
    this.#route = new Route(options);
    this.#patience = new Patience(options.patienceMs ?? DEFAULT_PATIENCE_MS);
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
      if (earlier.isWanted) {
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
    this.#checkRoom(resource);
    const waitMs = Math.max(0, wish.waitMs - (this.#clock.monotonicMs() - askedAtMs));
    const mine = new Wish({ ...wish, waitMs }, this.#clock, this.#deadlineOf, () => {
      this.#lookSoon();
    });
    this.#wishes.add(mine);
    this.#lookSoon();
    return mine.outcome;
  }

  /** Releases everything, and waits for the answers as long as they can matter. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#wishes].map((wish) => wish.release()));
    this.#alarm?.cancel();
    this.#alarm = undefined;
    this.#hangUp();
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
    const answerMs = this.#answerMs();
    for (const wish of this.#wishes) {
      wish.look(nowMs);
      this.#patience.look(wish, nowMs, answerMs);
      if (wish.phase === "over") this.#forget(wish);
    }
    if (this.#wishes.size > 0) {
      if (this.#stream !== undefined && nowMs >= this.#silentUntilMs()) {
        this.#leave(new LockError("unavailable", "the daemon has left a heartbeat unanswered")); // K8
      }
      if (this.#stream !== undefined && nowMs >= this.#uselessAtMs(this.#stream)) {
        this.#move(); // K10
      }
      if (this.#stream === undefined && nowMs >= this.#route.connectAtMs) this.#connect();
      if (this.#stream !== undefined) this.#speak(this.#stream, nowMs);
    }
    this.#setAlarm();
  }

  // A daemon would put it off for as long as there is no room, and that may be for ever.
  #checkRoom(resource: string): void {
    const most = LIMITS.leasesPerStream;
    if (this.#wishes.size < most || this.#wishes.wanted < most) return;
    throw new LockError(
      "overloaded",
      `${resource} was not asked for: this client holds or awaits ${String(most)} locks, which is the limit; release some, or open another client`,
    );
  }

  #forget(wish: Wish): void {
    if (!this.#wishes.remove(wish)) return;
    const wasGranted = this.#stream?.granted.delete(wish.leaseId) === true;
    if (wasGranted && wish.isAbandoned) this.#hangUp(); // K11
  }

  // Says what has not been said on this stream: a heartbeat first, then what it carries.
  #speak(stream: Stream, nowMs: number): void {
    const due = [...this.#wishes].filter((wish) => nowMs >= wish.speakAtMs);
    const isPeriodOver = nowMs >= stream.lastBeatAtMs + this.#wishes.periodMs;
    if (due.length > 0 || isPeriodOver || this.#mustBeat) this.#beat(stream);
    for (const wish of due) stream.link.say(wish.nextMessage(nowMs));
  }

  #beat(stream: Stream): void {
    this.#mustBeat = false;
    this.#seq += 1;
    stream.beat(this.#seq);
    this.#patience.begin(stream.lastBeatAtMs);
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
    for (const wish of this.#wishes) wish.onNewStream();
  }

  // K5
  #leave(error: LockError): void {
    this.#hangUp();
    this.#patience.note(error);
    this.#route.fail();
    if (error.kind === "unreachable") for (const wish of this.#wishes) wish.onUnheard();
    if (error.isDefinite) for (const wish of this.#wishes) wish.refuse(error);
    this.#lookSoon();
  }

  #hangUp(): void {
    this.#stream?.link.close();
    this.#stream = undefined;
  }

  // K10
  #move(): void {
    this.#hangUp();
    this.#route.move();
    this.#lookSoon();
  }

  // ——— what is heard ———

  #heard(stream: Stream, message: DaemonSays): void {
    this.#patience.end();
    this.#route.succeed(stream.hear());
    switch (message.kind) {
      case "heartbeat-ack":
        this.#onAck(stream, message);
        break;
      case "granted":
        this.#onGranted(stream, message);
        break;
      case "draining":
        this.#leave(stoppingError());
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
        this.#wishes.of(message)?.hear(message);
        break;
    }
    this.#lookSoon();
  }

  #onAck(stream: Stream, ack: Extract<DaemonSays, { kind: "heartbeat-ack" }>): void {
    const sentAtMs = stream.sentAtMs(ack.seq);
    if (sentAtMs === undefined) return;
    stream.acknowledge(ack.seq);
    const behind = new Map(ack.behind.map(({ leaseId, validForMs }) => [leaseId, validForMs]));
    for (const wish of this.#wishes) {
      if (!stream.granted.has(wish.leaseId)) continue; // K4
      wish.confirm(sentAtMs, behind.get(wish.leaseId) ?? ack.validShare * wish.ttlMs);
    }
  }

  #onGranted(
    stream: Stream,
    { lease, seq, validForMs }: Extract<DaemonSays, { kind: "granted" }>,
  ): void {
    const wish = this.#wishes.of(lease);
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

  // ——— when to look again ———

  #silenceMs(): number {
    const isNew = this.#stream?.isHeard === false;
    const silenceMs = Math.max(this.#wishes.periodMs, SHORTEST_SILENCE_MS);
    return Math.min(silenceMs * (isNew ? 2 ** this.#route.rounds : 1), LONGEST_SILENCE_MS);
  }

  // A daemon that is being talked to has the time to answer.
  #answerMs(): number {
    return this.#stream === undefined ? 0 : this.#silenceMs();
  }

  // Until when the oldest unanswered heartbeat may stay so (K8): no longer than what is held can
  // wait, once a daemon that is there would have answered.
  #silentUntilMs(): number {
    const stream = this.#stream;
    if (stream === undefined) return Infinity;
    const answeredMs =
      stream.silentSinceMs + Math.max(this.#wishes.periodMs / 2, SHORTEST_SILENCE_MS);
    const urgentMs = Math.max(this.#urgentAtMs(stream), answeredMs);
    return Math.min(stream.silentUntilMs(this.#silenceMs()), urgentMs);
  }

  // When a stream that answers is to be left all the same (K10).
  #uselessAtMs(stream: Stream): number {
    const { mayMoveAtMs } = this.#route;
    if (mayMoveAtMs === Infinity) return Infinity;
    const whenMs = this.#wishes.isPutOff ? -Infinity : this.#urgentAtMs(stream);
    return Math.max(mayMoveAtMs, whenMs);
  }

  #urgentAtMs({ openedAtMs }: Stream): number {
    return this.#wishes.urgentAtMs(openedAtMs, this.#wishes.periodMs);
  }

  // One alarm for everything, set again after every look: no timer for each lease.
  #setAlarm(): void {
    let atMs = Infinity;
    if (this.#wishes.size > 0) {
      const stream = this.#stream;
      atMs =
        stream === undefined
          ? this.#route.connectAtMs
          : Math.min(
              this.#silentUntilMs(),
              this.#uselessAtMs(stream),
              stream.lastBeatAtMs + this.#wishes.periodMs,
            );
      const answerMs = this.#answerMs();
      for (const wish of this.#wishes) {
        atMs = Math.min(atMs, wish.lookAtMs, stream === undefined ? Infinity : wish.speakAtMs);
        atMs = Math.min(atMs, this.#patience.lookAtMs(wish, answerMs));
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
