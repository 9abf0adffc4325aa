// A holder's keeper, and daemons that say what a test tells them to.

import type { LockError } from "../../src/lock/errors.js";
import type { DaemonSays, HolderSays } from "../../src/lock/hold.js";
import { Keeper, type KeeperOptions } from "../../src/lock/holder/keeper.js";
import type { LinkEvents, OpenLink } from "../../src/lock/holder/link.js";
import type { Lease } from "../../src/lock/lease.js";
import type { HoldOutcome, HoldWish, Hold } from "../../src/lock/holder/holding.js";
import { FakeClock } from "./fake-clock.js";
import { RESOURCE, Watched } from "./lock-kit.js";

export const TTL_MS = 12_000;

type Kind = HolderSays["kind"];
type Heard<K extends Kind> = Extract<HolderSays, { kind: K }>;

/** One stream, seen from the daemon. */
export class Link {
  readonly openedAtMs: number;
  readonly heard: HolderSays[] = [];
  isClosed = false;
  readonly #events: LinkEvents;

  constructor(events: LinkEvents, nowMs: number) {
    this.#events = events;
    this.openedAtMs = nowMs;
  }

  say(message: DaemonSays): void {
    this.#events.heard(message);
  }

  break(error: LockError): void {
    this.#events.closed(error);
  }

  all<K extends Kind>(kind: K): Heard<K>[] {
    return this.heard.filter((message): message is Heard<K> => message.kind === kind);
  }

  last<K extends Kind>(kind: K): Heard<K> {
    const last = this.all(kind).at(-1);
    if (last === undefined) throw new Error(`no ${kind} was heard, but ${this.kinds.join(", ")}`);
    return last;
  }

  get kinds(): string[] {
    return this.heard.map(({ kind }) => kind);
  }

  get seq(): number {
    return this.last("heartbeat").seq;
  }

  ack(
    seq = this.seq,
    validShare = 1,
    behind: readonly { leaseId: string; validForMs: number }[] = [],
  ): void {
    this.say({ kind: "heartbeat-ack", seq, validShare, behind });
  }

  /** Grants what was asked for last, or this lease. */
  grant(more: Partial<Lease> = {}, seq = this.seq, validForMs = more.ttlMs ?? TTL_MS): void {
    const asked = more.leaseId === undefined ? this.last("acquire") : undefined;
    const lease: Lease = {
      ...{ resource: asked?.resource ?? RESOURCE, leaseId: asked?.leaseId ?? "", principal: "ann" },
      ...{ token: 7n, ttlMs: TTL_MS, remainingMs: TTL_MS, createdAtUs: 0n, expiresAtUs: 0n },
      ...{ revision: 1n, reason: "", labels: {}, ...more },
    };
    this.say({ kind: "granted", lease, seq, validForMs });
  }

  deny(reason: Extract<DaemonSays, { kind: "denied" }>["reason"], holder?: Lease): void {
    const { resource, leaseId } = this.heard.findLast(
      ({ kind }) => kind !== "heartbeat",
    ) as Heard<"acquire">;
    this.say({ kind: "denied", resource, leaseId, reason, message: `because ${reason}`, holder });
  }
}

/** What a daemon does with what it hears. */
export type Behaviour = (link: Link, message: HolderSays) => void;

/** Acknowledges every heartbeat. */
export const acknowledge: Behaviour = (link, message) => {
  if (message.kind === "heartbeat") link.ack(message.seq);
};

/** Grants, resumes and releases whatever is asked. */
export const obey: Behaviour = (link, message) => {
  acknowledge(link, message);
  const { kind } = message;
  if (kind === "acquire" || kind === "resume") {
    link.grant({ leaseId: message.leaseId, resource: message.resource });
  }
  if (kind === "release") {
    const { resource, leaseId } = message;
    link.say({ kind: "released", resource, leaseId, outcome: "released" });
  }
};

/** One daemon's address. */
export class Address {
  readonly links: Link[] = [];
  readonly #clock: FakeClock;
  behave: Behaviour;
  /** Why no stream can be opened. */
  refusal: LockError | undefined;

  constructor(clock: FakeClock, behave: Behaviour) {
    this.#clock = clock;
    this.behave = behave;
  }

  get link(): Link {
    const link = this.links.at(-1);
    if (link === undefined) throw new Error("no stream has been opened");
    return link;
  }

  readonly open: OpenLink = (events) => {
    const link = new Link(events, this.#clock.monotonicMs());
    this.links.push(link);
    const { refusal } = this;
    const later = (work: () => void): void => {
      this.#clock.endOfTurn(() => {
        if (!link.isClosed) work();
      });
    };
    if (refusal !== undefined) {
      later(() => {
        link.break(refusal);
      });
    }
    return {
      say: (message) => {
        if (link.isClosed) throw new Error("nothing may be said on a closed link");
        link.heard.push(message);
        later(() => {
          this.behave(link, message);
        });
      },
      close: () => {
        link.isClosed = true;
      },
    };
  };
}

export class Holder extends Watched<HoldOutcome> {
  get hold(): Hold {
    if (this.value?.kind !== "held") throw new Error(`not held, but ${this.kind}`);
    return this.value.hold;
  }
}

export interface KeeperStarted {
  readonly clock: FakeClock;
  readonly keeper: Keeper;
  readonly hold: (wish?: Partial<HoldWish>) => Holder;
  /** One of its addresses, in the order of preference. */
  readonly at: (index: number) => Address;
}

export function startKeeper(
  options: Partial<KeeperOptions> & {
    readonly addresses?: number;
    readonly behave?: Behaviour;
  } = {},
): KeeperStarted {
  const { addresses: count = 2, behave = () => undefined, ...more } = options;
  const clock = new FakeClock();
  const addresses = Array.from({ length: count }, () => new Address(clock, behave));
  const links = addresses.map(({ open }) => open);
  const keeper = new Keeper({ clock, links, random: () => 1, ...more });
  const hold = (wish: Partial<HoldWish> = {}): Holder =>
    new Holder(
      keeper.hold({
        ...{ resource: RESOURCE, principal: "ann", ttlMs: TTL_MS, waitMs: Infinity },
        ...{ reason: "", labels: {}, ...wish },
      }),
    );
  const at = (index: number): Address => {
    const address = addresses[index];
    if (address === undefined) throw new Error(`there is no address ${String(index)}`);
    return address;
  };
  return { clock, keeper, hold, at };
}
