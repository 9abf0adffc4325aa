// One wanted lock, from its first ask to its end: what is to be said to daemons for it, and what their
// answers mean. (Who waits for it: caller.ts. What its holder then has of it: held-lock.ts.)
//
//   K6. Who releases stops believing before the release is sent.
//   K7. The end of belief alone releases nothing before the lease would have ended anyway.

import { Ask } from "./ask.js";
import { Belief, type DeadlineRule } from "./belief.js";
import { Caller } from "./caller.js";
import type { Clock } from "../clock.js";
import { deferred } from "../deferred.js";
import { LockError } from "../errors.js";
import { Exchange, type Standing } from "./exchange.js";
import { Farewell, FAREWELL_MS, type ReleaseOutcome } from "./farewell.js";
import { HeldLock } from "./held-lock.js";
import type { DaemonSays, DenialReason, HolderSays } from "../hold.js";
import type { HoldOutcome, HoldWish, ReleaseOptions } from "./holding.js";
import type { Lease } from "../lease.js";

/** What a ttl is taken for until the daemon has told it: the daemons' own default. */
const ASSUMED_TTL_MS = 60_000;

// How soon something is said again that the daemon could not answer.
const RETRY_MS = 250;

type Phase =
  /** Not held yet. */
  | "asking"
  /** Granted, and believed or about to be. */
  | "holding"
  /** Not believed in any more; the daemon is to end it. */
  | "releasing"
  | "over";

export class Wish {
  readonly resource: string;
  readonly #caller: Caller;
  readonly #clock: Clock;
  readonly #deadlineOf: DeadlineRule | undefined;
  readonly #changedInside: () => void;
  readonly #released = deferred<ReleaseOutcome>();
  readonly #ask: Ask;
  #phase: Phase = "asking";
  readonly #exchange = new Exchange();
  readonly #farewell = new Farewell();
  #isAbandoned = false;
  #ttlMs: number;
  #belief: Belief;
  // From the grant on.
  #held: HeldLock | undefined;

  constructor(
    wish: HoldWish,
    clock: Clock,
    deadlineOf: DeadlineRule | undefined,
    changed: () => void,
  ) {
    this.resource = wish.resource;
    this.#caller = new Caller(wish, clock);
    this.#clock = clock;
    this.#deadlineOf = deadlineOf;
    this.#changedInside = changed;
    this.#ask = new Ask(wish, clock.monotonicMs());
    this.#ttlMs = wish.ttlMs ?? ASSUMED_TTL_MS;
    this.#belief = new Belief(clock, this.#ttlMs, deadlineOf);
    this.#caller.onGivingUp(this.#giveUp);
  }

  get leaseId(): string {
    return this.#ask.leaseId;
  }

  get outcome(): Promise<HoldOutcome> {
    return this.#caller.outcome;
  }

  /** Resolves when no daemon has anything to do with this lease any more, as far as is known. */
  get gone(): Promise<unknown> {
    return this.#released.promise;
  }

  release({ patienceMs = Infinity }: ReleaseOptions = {}): Promise<ReleaseOutcome> {
    const nowMs = this.#clock.monotonicMs();
    this.#giveUp();
    this.#belief.end("RELEASED"); // K6: before it is sent
    const isPutOff = this.#phase === "releasing" && this.#farewell.atMs > nowMs;
    if (this.#phase === "holding" || isPutOff) this.#toRelease(nowMs);
    if (patienceMs !== Infinity) {
      this.#farewell.hurry(nowMs + patienceMs);
      this.#changedInside();
    }
    this.#held?.tell();
    return this.#released.promise;
  }

  abandon(): void {
    this.#giveUp();
    this.#belief.end("RELEASED");
    this.#isAbandoned = true;
    if (this.#phase !== "over") this.#over("unknown");
    this.#held?.tell();
  }

  // ——— how it stands ———

  get phase(): Phase {
    return this.#phase;
  }
  /** Whether it is asked for or held, and not on its way out. */
  get isWanted(): boolean {
    return this.#phase === "asking" || this.#phase === "holding";
  }
  /** Whether its caller still waits to hear: not held yet, or granted and not yet confirmed. */
  get isOpen(): boolean {
    if (this.#phase === "holding") return this.#belief.state === "PENDING";
    return this.#phase === "asking";
  }
  /** Whether no daemon may keep it any more, although none was told to end it (K11). */
  get isAbandoned(): boolean {
    return this.#isAbandoned;
  }
  get ttlMs(): number {
    return this.#ttlMs;
  }
  get standing(): Standing {
    return this.isWanted ? this.#exchange.standing : "unknown";
  }
  /** What a daemon has said last of why it cannot answer. */
  get trouble(): string | undefined {
    return this.#exchange.trouble;
  }
  get askedSinceMs(): number {
    return this.#ask.sinceMs;
  }

  get outlastsSilence(): boolean {
    return this.#caller.outlastsSilence;
  }

  /** The daemon refuses a wait that is over by itself; this is for when it does not answer. */
  get giveUpAtMs(): number {
    return this.#ask.untilMs + FAREWELL_MS;
  }

  /** When `look` has something to do next. */
  get lookAtMs(): number {
    switch (this.#phase) {
      case "asking":
        return Infinity;
      case "holding": {
        const { state, riskAtMs, deadlineMs } = this.#belief;
        if (state === "PENDING") return Infinity;
        return state === "HELD" ? Math.min(riskAtMs, deadlineMs) : deadlineMs;
      }
      case "releasing":
        return this.#farewell.endsMs;
      case "over":
        return Infinity;
    }
  }

  /** When a stream that was opened then must be left for one that confirms what is held (K10). */
  urgentAtMs(openedAtMs: number, periodMs: number): number {
    return this.#phase === "holding" ? this.#belief.urgentAtMs(openedAtMs, periodMs) : Infinity;
  }

  /** When there is something to say next, on a stream. */
  get speakAtMs(): number {
    if (this.#phase === "over") return Infinity;
    const { dueAtMs } = this.#exchange;
    return this.#phase === "releasing" ? Math.max(dueAtMs, this.#farewell.atMs) : dueAtMs;
  }

  /** Does what time has brought. */
  look(nowMs: number): void {
    if (this.#phase === "holding" && this.#belief.state === "LOST") {
      this.#lose(`the lease of ${this.resource} could not be renewed in time`);
    }
    if (this.#phase === "releasing" && nowMs >= this.#farewell.endsMs) this.#over("unknown");
    this.#held?.tell();
  }

  nextMessage(nowMs: number): HolderSays {
    this.#exchange.say();
    const { resource, leaseId } = this;
    switch (this.#phase) {
      case "asking":
        return this.#ask.next(nowMs);
      case "holding":
        return { kind: "resume", resource, leaseId };
      case "releasing":
      case "over":
        this.#farewell.say();
        return { kind: "release", resource, leaseId };
    }
  }

  /** All that was said is forgotten with the stream it was said on. */
  onNewStream(): void {
    this.#exchange.begin();
  }

  /** The stream never came about: nobody has heard what was said on it. */
  onUnheard(): void {
    if (this.#phase === "asking" && this.#exchange.isSaid) this.#ask.takeBack();
    if (this.#phase === "releasing" && this.#exchange.isSaid) this.#farewell.takeBack();
    this.#exchange.again();
  }

  onQueued(position: number, holder: Lease | undefined, ttlMs: number): void {
    if (this.#phase !== "asking") return;
    if (ttlMs > 0) this.#ttlMs = ttlMs; // Without one no flood of heartbeats.
    this.#exchange.queue(holder !== undefined);
    this.#caller.tellPlace(position, holder);
  }

  onSilence(error: LockError): void {
    this.#caller.tellSilence(error);
  }

  onGranted(lease: Lease, sentAtMs: number, validForMs: number): void {
    this.#exchange.settle();
    if (this.#phase === "asking") {
      this.#phase = "holding";
      this.#ttlMs = lease.ttlMs;
      this.#belief = new Belief(this.#clock, lease.ttlMs, this.#deadlineOf);
      this.#held = new HeldLock(lease, this.#belief, this.#clock, this);
    }
    if (this.#phase === "holding") this.confirm(sentAtMs, validForMs);
  }

  confirm(sentAtMs: number, validForMs: number): void {
    if (this.#phase !== "holding" || this.#held === undefined) return;
    if (!this.#belief.confirm(sentAtMs, validForMs)) return;
    this.#caller.answer({ kind: "held", hold: this.#held });
    this.#held.tell(true);
  }

  hear(message: Extract<DaemonSays, { kind: "denied" | "lost" | "released" }>): void {
    if (this.#phase === "over") return;
    switch (message.kind) {
      case "denied":
        this.#onDenied(message.reason, message.message, message.holder);
        return;
      case "lost":
        if (this.#phase === "releasing") this.#over(this.#farewell.meaning("not-held"));
        else
          this.#gone(
            `the daemon says that the lease of ${this.resource} is lost (${message.cause})`,
          );
        return;
      case "released":
        if (this.#phase === "releasing") this.#over(this.#farewell.meaning(message.outcome));
        return;
    }
  }

  /** No daemon will have it: the wait is over. What is held already stays so until its deadline. */
  refuse(error: LockError): void {
    if (!this.isOpen) return;
    this.#caller.refuse(error);
    this.#giveUp();
  }

  // ——— inside ———

  #onDenied(reason: DenialReason, message: string, holder: Lease | undefined): void {
    if (reason === "unavailable" || this.#phase === "releasing" || this.#phase === "holding") {
      this.#exchange.again(this.#clock.monotonicMs() + RETRY_MS);
      if (reason === "unavailable") this.#exchange.putOff(message);
      return;
    }
    if (reason === "lock-held") {
      this.#caller.answer({ kind: "denied", holder, message });
      this.#over("not-held");
    } else if (reason === "lease-lost") {
      this.#gone(message);
    } else {
      const kind = reason === "not-allowed" ? "not-allowed" : "invalid-field";
      this.#caller.refuse(new LockError(kind, message));
      this.#over("not-held");
    }
  }

  // The lease has ended at the daemon. Nobody has believed in one that was only pending, or that
  // was granted to an ask whose answer was lost: a new id is as good.
  #gone(why: string): void {
    if (this.#belief.state === "PENDING" && this.#ask.times > 0) {
      this.#phase = "asking";
      this.#ask.renewId();
      this.#exchange.again(this.#clock.monotonicMs() + (this.#ask.times > 1 ? RETRY_MS : 0));
      return;
    }
    this.#belief.end("LOST");
    this.#lose(why);
    this.#over("not-held");
  }

  // K7. By then the store may have given it to somebody else; until then it does not have to.
  #lose(why: string): void {
    this.#held?.lose(why);
    this.#toRelease(this.#belief.validUntilMs);
  }

  readonly #giveUp = (): void => {
    if (!this.isOpen) return;
    this.#caller.refuse(new LockError("cancelled", `the wait for ${this.resource} was given up`));
    if (this.#ask.times === 0) this.#over("not-held");
    else this.#toRelease(this.#clock.monotonicMs());
  };

  #toRelease(atMs: number): void {
    const { state, deadlineMs } = this.#belief;
    this.#phase = "releasing";
    this.#farewell.begin(atMs, state !== "LOST" && deadlineMs !== -Infinity);
    this.#exchange.again();
    this.#changedInside();
  }

  #over(outcome: ReleaseOutcome): void {
    this.#phase = "over";
    this.#released.resolve(outcome);
    this.#changedInside();
  }
}
