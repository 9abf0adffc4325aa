import type { Clock } from "../lock/clock.js";
import { LockError } from "../lock/errors.js";
import { Code, codeName } from "./code.js";
import type { Log } from "./log.js";
import type { Metrics } from "./metrics.js";

// A call in flight costs about 10 KiB. With this many, somebody is not asking for locks.
const MOST_IN_FLIGHT = 20_000;

// A Hold stream costs about as much, but it is there to stay: a program that holds one lock needs
// one. They have places of their own, so that many holders keep no callers out, and no calls
// keep out a holder who comes back to resume.
const MOST_HOLDS = 150_000;

// What callers get wrong, and what happens every day: worth a line, not a warning.
const ORDINARY: ReadonlySet<number> = new Set([
  Code.CANCELLED,
  Code.INVALID_ARGUMENT,
  Code.DEADLINE_EXCEEDED,
  Code.NOT_FOUND,
  Code.ALREADY_EXISTS,
  Code.PERMISSION_DENIED,
  Code.UNIMPLEMENTED,
  Code.UNAUTHENTICATED,
]);

const HOLD = "/stormlock.v1.LockService/Hold";

/** The fields of a request that matter here. */
interface Named {
  readonly resource?: unknown;
  readonly leaseId?: unknown;
}

export interface CallsOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** How many may be in flight, over all doors, Hold streams not counted. */
  readonly mostInFlight?: number;
  /** How many Hold streams may be open. */
  readonly mostHolds?: number;
}

/** Every call of every door, from its first byte to its last: counted, timed, told. */
export class Calls {
  readonly clock: Clock;
  readonly log: Log;
  readonly #mostInFlight: number;
  readonly #mostHolds: number;
  readonly #inFlight = new Set<Call>();
  readonly #idle: (() => void)[] = [];
  #metrics: Metrics | undefined;
  #holds = 0;
  #isDraining = false;

  constructor({ clock, log, mostInFlight = MOST_IN_FLIGHT, mostHolds = MOST_HOLDS }: CallsOptions) {
    this.clock = clock;
    this.log = log;
    this.#mostInFlight = mostInFlight;
    this.#mostHolds = mostHolds;
  }

  /** Where the numbers go from now on. */
  report(metrics: Metrics): void {
    this.#metrics = metrics;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** A call has begun. Whoever opens one ends it. */
  open(method: string, peer: string): Call {
    const call = new Call(this, method, peer);
    this.#inFlight.add(call);
    if (call.isHold) this.#holds += 1;
    return call;
  }

  /** Why this call of the lock service, which has been opened, cannot be taken just now. */
  refusal(call: Call): LockError | undefined {
    if (this.#isDraining) {
      return new LockError("unavailable", "this daemon is about to stop; ask another, or again");
    }
    if (call.isHold) {
      if (this.#holds <= this.#mostHolds) return undefined;
      return new LockError(
        "overloaded",
        `${String(this.#mostHolds)} Hold streams are open, which is the limit; keep more leases on each`,
      );
    }
    if (this.#inFlight.size - this.#holds > this.#mostInFlight) {
      return new LockError(
        "overloaded",
        `${String(this.#mostInFlight)} calls are in flight, which is the limit; ask again later`,
      );
    }
    return undefined;
  }

  /** An acquire was refused before anything was done for it: counted, and told of all together. */
  refused(method: string): void {
    this.#metrics?.refused(method);
  }

  /** Something has gone wrong that nobody has foreseen. */
  failed(method: string, request: unknown, thrown: unknown): void {
    const error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    this.log.error({ method, error: withoutId(error, named(request)) }, "a call has failed");
  }

  /** From now on every new call is refused. */
  drain(): void {
    this.#isDraining = true;
  }

  /** Resolves when every call of the lock service that runs has ended, or the time is up. */
  idle(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.clock.after(withinMs, resolve);
      this.#idle.push(() => {
        cancel();
        resolve();
      });
      this.#tellIdle();
    });
  }

  /** For Call alone. */
  close(call: Call, code: number, seconds: number): void {
    if (this.#inFlight.delete(call) && call.isHold) this.#holds -= 1;
    this.#metrics?.observe(call.method, code, seconds);
    this.#tellIdle();
  }

  // Streams of health and reflection live as long as their clients like, and a request that is
  // not complete has not been begun: nobody waits for them.
  #tellIdle(): void {
    if (this.#idle.length === 0) return;
    for (const call of this.#inFlight) if (call.isOfLocks && call.isRunning) return;
    for (const tell of this.#idle.splice(0)) tell();
  }
}

/** One call. */
export class Call {
  readonly method: string;
  readonly #calls: Calls;
  readonly #peer: string;
  readonly #begunAtMs: number;
  #request: Named | undefined;
  #hasEnded = false;

  constructor(calls: Calls, method: string, peer: string) {
    this.#calls = calls;
    this.method = method;
    this.#peer = peer;
    this.#begunAtMs = calls.clock.monotonicMs();
  }

  get isOfLocks(): boolean {
    return this.method.startsWith("/stormlock.");
  }

  get isHold(): boolean {
    return this.method === HOLD;
  }

  /** Whether its request is there, so that something may have been done. */
  get isRunning(): boolean {
    return this.#request !== undefined;
  }

  /** What was asked; kept until the end for the log. */
  received(request: unknown): void {
    this.#request = named(request);
  }

  /** The call has ended. Only the first word counts. */
  end(code: number, message: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    const elapsedMs = this.#calls.clock.monotonicMs() - this.#begunAtMs;
    this.#calls.close(this, code, elapsedMs / 1000);
    const level = code === Code.OK ? "debug" : ORDINARY.has(code) ? "info" : "warn";
    const { log } = this.#calls;
    if (!log.isLevelEnabled(level)) return;
    log[level](
      {
        method: this.method,
        code: codeName(code),
        peer: this.#peer,
        ms: Math.round(elapsedMs * 10) / 10,
        ...this.#resource(),
        ...(code === Code.OK ? {} : { error: withoutId(message, this.#request) }),
      },
      code === Code.OK ? "call answered" : "call refused",
    );
  }

  #resource(): { resource?: string } {
    const resource = this.#request?.resource;
    if (typeof resource !== "string") return {};
    return { resource: withoutId(resource.slice(0, 200), this.#request) };
  }
}

function named(request: unknown): Named | undefined {
  return typeof request === "object" && request !== null ? request : undefined;
}

// Messages are made without ids, but some are made by drivers, and some callers mix up their
// arguments: the id they sent goes out, wherever it may stand.
function withoutId(text: string, request: Named | undefined): string {
  const leaseId = request?.leaseId;
  if (typeof leaseId !== "string" || leaseId === "") return text;
  return text.replaceAll(leaseId, "[lease id]");
}
