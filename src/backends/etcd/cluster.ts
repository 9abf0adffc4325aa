// The members of the cluster: whom to ask, when to ask another one, and who we are to them.
//
//   C1. One member is asked until it fails; then the next one is, and stays.
//   C2. A question that changes nothing, or may be repeated, goes on to other members until its
//       limit. A write is tried once: it may have been carried out.
//   C3. A connection that cannot be made tells at once, when no member can be connected to;
//       a cluster without a leader is waited for, since it usually has one soon.
//   C4. A login that is no longer known was looked at before anything else: with a new one, a
//       write may be tried again.

import { sleep, type Clock } from "../../lock/clock.js";
import type { Calls, Service, Streams } from "./calls.js";
import { EtcdFault } from "./faults.js";
import type { Limit } from "./limit.js";
import { Member, type Connector } from "./member.js";
import type { EtcdAccess } from "./settings.js";

const PAUSE_MS = 50;

type Ask<S extends Service, M extends keyof Calls[S]> = Calls[S][M] extends { ask: infer A }
  ? A
  : never;
type Answer<S extends Service, M extends keyof Calls[S]> = Calls[S][M] extends { answer: infer A }
  ? A
  : never;

export class Cluster {
  readonly #members: readonly Member[];
  readonly #clock: Clock;
  readonly #login: EtcdAccess["login"];
  readonly #timeoutMs: number;
  #at = 0;
  #token: Promise<string> | undefined;

  constructor(access: EtcdAccess, connect: Connector, clock: Clock) {
    this.#members = access.hosts.map((host) => new Member(host, connect, clock));
    this.#login = access.login;
    this.#timeoutMs = access.timeoutMs;
    this.#clock = clock;
    // Several clients should not all ask the first that is named.
    this.#at = Math.floor(Math.random() * this.#members.length);
  }

  /** Asks what may be asked again (C2). @throws EtcdFault */
  ask<S extends Service, M extends keyof Calls[S] & string>(
    service: S,
    method: M,
    request: Ask<S, M>,
    limit: Limit,
  ): Promise<Answer<S, M>> {
    return this.patiently(limit, (member, withinMs) =>
      this.#asked(member, service, method, request, withinMs),
    );
  }

  /** Asks once (C2). @throws EtcdFault */
  async once<S extends Service, M extends keyof Calls[S] & string>(
    service: S,
    method: M,
    request: Ask<S, M>,
    limit: Limit,
  ): Promise<Answer<S, M>> {
    const member = this.#current();
    try {
      return await this.#asked(member, service, method, request, limit.leftMs);
    } catch (fault) {
      if (fault instanceof EtcdFault && fault.isTransient) this.#leave(member);
      throw fault;
    }
  }

  /** Opens a stream to a member. @throws EtcdFault */
  async stream<S extends keyof Streams>(
    service: S,
    limit: Limit,
    member = this.#current(),
  ): Promise<Streams[S]> {
    return member.stream(service, await this.#tokenFrom(member, limit.leftMs));
  }

  /** Tries with one member after the other until the limit (C1-C3). @throws EtcdFault */
  async patiently<T>(
    limit: Limit,
    attempt: (member: Member, withinMs: number) => Promise<T>,
  ): Promise<T> {
    for (let broken = 0; ;) {
      const member = this.#current();
      try {
        return await attempt(member, this.#share(limit));
      } catch (fault) {
        if (!(fault instanceof EtcdFault) || !fault.isTransient) throw fault;
        this.#leave(member);
        // One more than there are members: a connection that had been open may have broken
        // because its member was started anew.
        if (fault.kind === "unreachable" && ++broken > this.#members.length) throw fault;
        if (limit.leftMs <= PAUSE_MS) throw fault;
        await sleep(this.#clock, PAUSE_MS);
      }
    }
  }

  /** Something that came from there says that the login is no longer known. */
  forgetLogin(): void {
    this.#token = undefined;
  }

  close(): void {
    for (const member of this.#members) member.close();
  }

  async #asked<S extends Service, M extends keyof Calls[S] & string>(
    member: Member,
    service: S,
    method: M,
    request: Ask<S, M>,
    withinMs: number,
  ): Promise<Answer<S, M>> {
    const endMs = this.#clock.monotonicMs() + withinMs;
    const leftMs = (): number => Math.max(0, endMs - this.#clock.monotonicMs());
    for (let times = 0; ; times++) {
      const logging = this.#tokenFrom(member, leftMs());
      const options = { token: await logging, withinMs: leftMs() };
      try {
        return await member.call(service, method, request, options);
      } catch (fault) {
        if (!(fault instanceof EtcdFault) || !fault.isStaleLogin || times > 0) throw fault;
        if (this.#token === logging) this.#token = undefined; // C4
      }
    }
  }

  #tokenFrom(member: Member, withinMs: number): Promise<string> | undefined {
    if (this.#login === undefined) return undefined;
    if (this.#token !== undefined) return this.#token;
    const logging = member
      .call("Auth", "authenticate", this.#login, { withinMs, token: undefined })
      .then(({ token }) => token);
    logging.catch(() => {
      if (this.#token === logging) this.#token = undefined;
    });
    this.#token = logging;
    return logging;
  }

  #current(): Member {
    const member = this.#members[this.#at];
    if (member === undefined) throw new EtcdFault("closed", "no members");
    return member;
  }

  #leave(member: Member): void {
    if (this.#current() === member) this.#at = (this.#at + 1) % this.#members.length;
  }

  // Of several members none may use up the time of the others.
  #share(limit: Limit): number {
    if (this.#members.length === 1) return limit.leftMs;
    return Math.min(limit.leftMs, this.#timeoutMs / 3);
  }
}
