// The daemon's side of Hold streams, as a holder sees it: what was said, in order.

import type { DaemonSays, HolderSays } from "../../src/lock/hold.js";
import { HoldSession } from "../../src/lock/daemon/session.js";
import { RESOURCE, type Daemon } from "./lock-kit.js";

type Kind = DaemonSays["kind"];
type Said<K extends Kind> = Extract<DaemonSays, { kind: K }>;

export class Stream {
  readonly session: HoldSession;
  readonly said: DaemonSays[] = [];
  #seq = 0;

  constructor(daemon: Daemon, keeping = new Map<string, HoldSession>(), identity?: string) {
    this.session = new HoldSession({
      locks: daemon.locks,
      say: (message) => this.said.push(message),
      identity,
      keeping,
    });
  }

  beat(): number {
    this.#seq += 1;
    this.session.hear({ kind: "heartbeat", seq: this.#seq });
    return this.#seq;
  }

  acquire(leaseId: string, more: Partial<Extract<HolderSays, { kind: "acquire" }>> = {}): void {
    this.session.hear({
      ...{ kind: "acquire", resource: RESOURCE, leaseId, principal: `${leaseId}@host` },
      ...{ ttlMs: 12_000, waitMs: Infinity, reason: "", labels: {}, ...more },
    });
  }

  resume(leaseId: string, resource = RESOURCE): void {
    this.session.hear({ kind: "resume", resource, leaseId });
  }

  release(leaseId: string, resource = RESOURCE): void {
    this.session.hear({ kind: "release", resource, leaseId });
  }

  /** All that was said of a kind. */
  all<K extends Kind>(kind: K): Said<K>[] {
    return this.said.filter((message): message is Said<K> => message.kind === kind);
  }

  /** The newest that was said of a kind. */
  last<K extends Kind>(kind: K): Said<K> {
    const last = this.all(kind).at(-1);
    if (last === undefined) throw new Error(`no ${kind} was said, but ${this.kinds.join(", ")}`);
    return last;
  }

  get kinds(): string[] {
    return this.said.map(({ kind }) => kind);
  }
}
