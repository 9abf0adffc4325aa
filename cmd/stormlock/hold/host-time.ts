import { uptime } from "node:os";
import type { Clock } from "../../../src/lock/clock.js";

/**
 * A moment that every process of this host understands, in ms on two clocks. `hrMs` stands
 * still while the host is suspended, `uptimeMs` goes on but has steps of 10 ms: a moment has
 * passed as soon as either clock says so. Neither is moved by whoever sets the wall clock.
 */
export interface HostMoment {
  readonly hrMs: number;
  readonly uptimeMs: number;
}

/** Time and timers as the watch over a deadline sees them; passed in for its tests. */
export interface HostTime {
  now(): HostMoment;
  /** Runs `wake` once, about `delayMs` from now. */
  after(delayMs: number, wake: () => void): () => void;
  /** Runs `work` when whatever lies unread in sockets and pipes has been read. */
  afterPoll(work: () => void): void;
}

export function hostNow(): HostMoment {
  const [seconds, nanoseconds] = process.hrtime();
  return { hrMs: seconds * 1000 + nanoseconds / 1e6, uptimeMs: uptime() * 1000 };
}

/** How long until the moment, in ms; 0 or less when it has passed. */
export function msUntil(moment: HostMoment, now: HostMoment = hostNow()): number {
  return Math.min(moment.hrMs - now.hrMs, moment.uptimeMs - now.uptimeMs);
}

export function later(moment: HostMoment, byMs: number): HostMoment {
  return { hrMs: moment.hrMs + byMs, uptimeMs: moment.uptimeMs + byMs };
}

/** Whichever comes first. */
export function earlier(one: HostMoment, other: HostMoment): HostMoment {
  return {
    hrMs: Math.min(one.hrMs, other.hrMs),
    uptimeMs: Math.min(one.uptimeMs, other.uptimeMs),
  };
}

/** Says a deadline, given in ms on `clock.monotonicMs()`, so that other processes understand it. */
export function deadlineOn(clock: Clock, deadlineMs: number): HostMoment {
  // In this order: a process that is stopped between the two lines gets an earlier deadline
  // from it, the other way round it would get a later one.
  const now = hostNow();
  return later(now, deadlineMs - clock.monotonicMs());
}

export const hostTime: HostTime = {
  now: hostNow,
  after(delayMs, wake) {
    const timer = setTimeout(wake, delayMs);
    return () => {
      clearTimeout(timer);
    };
  },
  afterPoll(work) {
    setImmediate(work);
  },
};
