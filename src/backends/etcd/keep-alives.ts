// Keeping etcd leases alive. etcd takes these on streams and answers each stream in order, but an
// answer about a lease that is just ending waits until it has ended: hence a few streams.

import type { Clock } from "../../lock/clock.js";
import { deferred, type Deferred } from "../../lock/deferred.js";
import type { Streams } from "./calls.js";
import type { Cluster } from "./cluster.js";
import { EtcdFault } from "./faults.js";
import type { Limit } from "./limit.js";
import type { Member } from "./member.js";

const STREAMS = 4;

export interface Kept {
  /** As granted; 0 when there is no such lease. */
  readonly ttlS: number;
  /** Which leader has said so. */
  readonly term: string;
}

export class KeepAlives {
  readonly #cluster: Cluster;
  readonly #clock: Clock;
  readonly #lines = new Set<Line>();

  constructor(cluster: Cluster, clock: Clock) {
    this.#cluster = cluster;
    this.#clock = clock;
  }

  /**
   * Lets a lease live for its whole ttl from now.
   * @throws EtcdFault
   */
  renew(leaseId: string, limit: Limit): Promise<Kept> {
    return this.#cluster.patiently(limit, async (member, withinMs) => {
      try {
        return await this.#lineTo(member, limit).renew(leaseId, withinMs);
      } catch (fault) {
        if (!(fault instanceof EtcdFault) || !fault.isStaleLogin) throw fault;
        this.#cluster.forgetLogin();
        throw new EtcdFault("unready", fault.message, member.host);
      }
    });
  }

  close(): void {
    for (const line of this.#lines) line.close(new EtcdFault("closed", "closed"));
  }

  #lineTo(member: Member, limit: Limit): Line {
    const lines = [...this.#lines].filter((line) => line.member === member);
    const idlest = lines.reduce<Line | undefined>(
      (best, line) => (best !== undefined && best.pending <= line.pending ? best : line),
      undefined,
    );
    if (idlest !== undefined && (idlest.pending === 0 || lines.length >= STREAMS)) return idlest;
    const line = new Line(member, this.#clock, this.#cluster.stream("Lease", limit, member));
    this.#lines.add(line);
    line.onClose = () => this.#lines.delete(line);
    return line;
  }
}

// One stream. It ends with its first failure.
class Line {
  onClose: () => void = () => undefined;
  readonly member: Member;
  readonly #clock: Clock;
  readonly #opening: Promise<Streams["Lease"]>;
  // A lease may be asked about twice at a time.
  readonly #asked = new Map<string, Deferred<Kept>[]>();
  #stream: Streams["Lease"] | undefined;
  #pending = 0;
  #fault: EtcdFault | undefined;

  constructor(member: Member, clock: Clock, opening: Promise<Streams["Lease"]>) {
    this.member = member;
    this.#clock = clock;
    this.#opening = opening;
    opening.then(
      (stream) => {
        this.#open(stream);
      },
      (fault: unknown) => {
        this.close(asFault(fault, member));
      },
    );
  }

  get pending(): number {
    return this.#pending;
  }

  async renew(leaseId: string, withinMs: number): Promise<Kept> {
    this.#pending += 1;
    const answer = deferred<Kept>();
    const stop = this.#clock.after(withinMs, () => {
      this.close(new EtcdFault("late", "no answer in time", this.member.host));
      answer.reject(this.#fault ?? new EtcdFault("late", "no answer in time", this.member.host));
    });
    void this.#opening.then(
      (stream) => {
        this.#ask(stream, leaseId, answer);
      },
      (fault: unknown) => {
        answer.reject(asFault(fault, this.member));
      },
    );
    try {
      return await answer.promise;
    } finally {
      stop();
      this.#pending -= 1;
    }
  }

  close(fault: EtcdFault): void {
    if (this.#fault !== undefined) return;
    this.#fault = fault;
    this.onClose();
    this.#stream?.cancel();
    for (const answer of [...this.#asked.values()].flat()) answer.reject(fault);
    this.#asked.clear();
  }

  #open(stream: Streams["Lease"]): void {
    this.#stream = stream;
    stream.on("data", ({ ID, TTL, header }) => {
      const answers = this.#asked.get(ID);
      answers?.shift()?.resolve({ ttlS: Math.max(0, Number(TTL)), term: header.raft_term });
      if (answers?.length === 0) this.#asked.delete(ID);
    });
    stream.on("error", (error) => {
      this.close(EtcdFault.from(error, this.member.host));
    });
    stream.on("end", () => {
      this.close(new EtcdFault("unreachable", "the stream ended", this.member.host));
    });
    if (this.#fault !== undefined) stream.cancel();
  }

  #ask(stream: Streams["Lease"], leaseId: string, answer: Deferred<Kept>): void {
    if (this.#fault !== undefined) {
      answer.reject(this.#fault);
      return;
    }
    const answers = this.#asked.get(leaseId) ?? [];
    this.#asked.set(leaseId, [...answers, answer]);
    stream.write({ ID: leaseId });
  }
}

function asFault(thrown: unknown, member: Member): EtcdFault {
  return thrown instanceof EtcdFault
    ? thrown
    : new EtcdFault("unreachable", String(thrown), member.host);
}
