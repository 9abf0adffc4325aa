// The holder's side of Hold streams: any number of leases, one stream at a time, one timer.
// (What may be believed of a lease: belief.ts. How one is asked for and let go: wish.ts. What is said
// on streams, and when one is left: conversation.ts.)

import type { Clock } from "../clock.js";
import type { DeadlineRule } from "./belief.js";
import { Conversation } from "./conversation.js";
import { LockError } from "../errors.js";
import type { HoldOutcome, HoldWish } from "./holding.js";
import { LIMITS } from "../limits.js";
import type { OpenLink } from "./link.js";
import { orAborted } from "./or-aborted.js";
import { Patience } from "./patience.js";
import { Route } from "./route.js";
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

export class Keeper implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #deadlineOf: DeadlineRule | undefined;
  readonly #wishes = new Wishes();
  readonly #patience: Patience;
  readonly #conversation: Conversation;
  #alarm: { readonly atMs: number; readonly cancel: () => void } | undefined;
  #isLookingSoon = false;
  #isClosed = false;

  constructor(options: KeeperOptions) {
    this.#clock = options.clock;
    this.#deadlineOf = options.deadlineOf;
    this.#patience = new Patience(options.patienceMs ?? DEFAULT_PATIENCE_MS);
    this.#conversation = new Conversation({
      clock: options.clock,
      route: new Route(options),
      wishes: this.#wishes,
      patience: this.#patience,
      lookSoon: () => {
        this.#lookSoon();
      },
    });
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
    this.#conversation.hangUp();
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
    const { answerMs } = this.#conversation;
    for (const wish of this.#wishes) {
      wish.look(nowMs);
      this.#patience.look(wish, nowMs, answerMs);
      if (wish.phase === "over") this.#forget(wish);
    }
    if (this.#wishes.size > 0) this.#conversation.look(nowMs);
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
    if (this.#wishes.remove(wish)) this.#conversation.forget(wish);
  }

  // One alarm for everything, set again after every look: no timer for each lease.
  #setAlarm(): void {
    let atMs = Infinity;
    if (this.#wishes.size > 0) {
      const { answerMs, lookAtMs } = this.#conversation;
      atMs = lookAtMs;
      for (const wish of this.#wishes) {
        atMs = Math.min(atMs, wish.lookAtMs, this.#patience.lookAtMs(wish, answerMs));
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
