// What a holder and its daemons say to each other for all that he wants or has, on one stream at a
// time. (What is said for one lock: wish.ts. Which address is next: route.ts.)
//
//   K4. An ack speaks of the leases that were granted on its own stream before it, no others.
//   K5. A broken stream is not a loss: every lease is resumed on the next address, until its
//       deadline; every wait is asked for again with the same lease id.
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
import { LockError } from "../errors.js";
import type { DaemonSays } from "../hold.js";
import type { Patience } from "./patience.js";
import { stoppingError } from "../refusals.js";
import type { Route } from "./route.js";
import { Stream } from "./stream.js";
import type { Wish } from "./wish.js";
import type { Wishes } from "./wishes.js";

// A heartbeat is answered within a quarter of the period; with a whole period gone, or this much,
// the daemon is not there, whatever its connection says.
const LONGEST_SILENCE_MS = 5000;
const SHORTEST_SILENCE_MS = 250;

export interface ConversationOptions {
  readonly clock: Clock;
  readonly route: Route;
  readonly wishes: Wishes;
  readonly patience: Patience;
  /** There may be something to do: to be looked at when what has arrived has been read (K8). */
  readonly lookSoon: () => void;
}

export class Conversation {
  readonly #clock: Clock;
  readonly #route: Route;
  readonly #wishes: Wishes;
  readonly #patience: Patience;
  readonly #lookSoon: () => void;
  #stream: Stream | undefined;
  #seq = 0;
  #mustBeat = false;

  constructor({ clock, route, wishes, patience, lookSoon }: ConversationOptions) {
    this.#clock = clock;
    this.#route = route;
    this.#wishes = wishes;
    this.#patience = patience;
    this.#lookSoon = lookSoon;
  }

  /** Does what is due, while there is anything to talk about. */
  look(nowMs: number): void {
    if (this.#stream !== undefined && nowMs >= this.#silentUntilMs(this.#stream)) {
      this.#leave(new LockError("unavailable", "the daemon has left a heartbeat unanswered")); // K8
    }
    if (this.#stream !== undefined && nowMs >= this.#uselessAtMs(this.#stream)) {
      this.#move(); // K10
    }
    if (this.#stream === undefined && nowMs >= this.#route.connectAtMs) this.#connect();
    if (this.#stream !== undefined) this.#speak(this.#stream, nowMs);
  }

  /** When `look` has something to do next. */
  get lookAtMs(): number {
    const stream = this.#stream;
    if (stream === undefined) return this.#route.connectAtMs;
    let atMs = Math.min(
      this.#silentUntilMs(stream),
      this.#uselessAtMs(stream),
      stream.lastBeatAtMs + this.#wishes.periodMs,
    );
    for (const wish of this.#wishes) atMs = Math.min(atMs, wish.speakAtMs);
    return atMs;
  }

  /** How long a daemon that is being talked to has to answer. */
  get answerMs(): number {
    return this.#stream === undefined ? 0 : this.#silenceMs(this.#stream);
  }

  /** There is nothing more to say for one that was wanted. */
  forget(wish: Wish): void {
    const wasGranted = this.#stream?.granted.delete(wish.leaseId) === true;
    if (wasGranted && wish.isAbandoned) this.hangUp(); // K11
  }

  hangUp(): void {
    this.#stream?.link.close();
    this.#stream = undefined;
  }

  // ——— what is said ———

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
    this.hangUp();
    this.#patience.note(error);
    this.#route.fail();
    if (error.kind === "unreachable") for (const wish of this.#wishes) wish.onUnheard();
    if (error.isDefinite) for (const wish of this.#wishes) wish.refuse(error);
    this.#lookSoon();
  }

  // K10
  #move(): void {
    this.hangUp();
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

  // ——— when a stream is to be left ———

  #silenceMs({ isHeard }: Stream): number {
    const silenceMs = Math.max(this.#wishes.periodMs, SHORTEST_SILENCE_MS);
    return Math.min(silenceMs * (isHeard ? 1 : 2 ** this.#route.rounds), LONGEST_SILENCE_MS);
  }

  // Until when the oldest unanswered heartbeat may stay so (K8): no longer than what is held can
  // wait, once a daemon that is there would have answered.
  #silentUntilMs(stream: Stream): number {
    const answeredMs =
      stream.silentSinceMs + Math.max(this.#wishes.periodMs / 2, SHORTEST_SILENCE_MS);
    const urgentMs = Math.max(this.#urgentAtMs(stream), answeredMs);
    return Math.min(stream.silentUntilMs(this.#silenceMs(stream)), urgentMs);
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
}
