import type { Belief, HoldState } from "./belief.js";
import type { Clock } from "../clock.js";
import { LockError } from "../errors.js";
import type { ReleaseOutcome } from "./farewell.js";
import type { Hold, ReleaseOptions } from "./holding.js";
import type { Lease } from "../lease.js";
import { Watchers } from "./watchers.js";

/** How a holder lets go. */
interface LettingGo {
  release(options: ReleaseOptions): Promise<ReleaseOutcome>;
  abandon(): void;
}

/** One granted lock as its holder has it: whether it is still his, and who hears of changes. */
export class HeldLock implements Hold {
  readonly lease: Lease;
  readonly #belief: Belief;
  readonly #lettingGo: LettingGo;
  readonly #watchers: Watchers;
  readonly #lost = new AbortController();

  constructor(lease: Lease, belief: Belief, clock: Clock, lettingGo: LettingGo) {
    this.lease = lease;
    this.#belief = belief;
    this.#lettingGo = lettingGo;
    this.#watchers = new Watchers(clock);
  }

  get resource(): string {
    return this.lease.resource;
  }
  get leaseId(): string {
    return this.lease.leaseId;
  }
  get token(): bigint {
    return this.lease.token;
  }
  get state(): HoldState {
    return this.#belief.state;
  }
  get isHeld(): boolean {
    return this.#belief.isHeld;
  }
  get deadlineMs(): number {
    return this.#belief.deadlineMs;
  }
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  watch(changed: () => void): () => void {
    return this.#watchers.add(changed);
  }

  release(options: ReleaseOptions = {}): Promise<ReleaseOutcome> {
    return this.#lettingGo.release(options);
  }

  abandon(): void {
    this.#lettingGo.abandon();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  /** Tells what has changed, if anything has. */
  tell(hasMoved = false): void {
    this.#watchers.tell(this.#belief.state, hasMoved);
  }

  /** It is lost, and belief has ended. */
  lose(why: string): void {
    this.tell();
    this.#lost.abort(new LockError("lease-lost", why));
  }
}
