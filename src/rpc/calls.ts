import type { Clock } from "../lock/clock.js";
import { LockError } from "../lock/errors.js";
import { stoppingError } from "../lock/refusals.js";
import { Code, codeName } from "./code.js";
import type { Log } from "./log.js";
import type { Metrics } from "./metrics.js";

/** Calls that have their places to themselves, so that no sort of them keeps out another. */
type Sort =
  /** It may wait in a queue, as long as its caller likes. */
  | "acquire"
  | "hold"
  /** It watches health, or reflects: for as long as its caller likes, and nothing waits for it. */
  | "watching"
  /** It is answered as soon as the store has answered: renewals, releases, reads, a look at health. */
  | "quick";

/** How many calls of each sort may be open, over all doors. */
export type Limits = Readonly<Record<Sort, number>>;

// A call costs about 10 KiB.
const LIMITS: Limits = {
  // With this many, somebody is not asking for locks.
  acquire: 20_000,
  // It is there to stay: a program that holds one lock needs one.
  hold: 150_000,
  // One for each connection that an address takes: clients watch health before they use one.
  watching: 10_000,
  // No holder is to be kept from its lock by others. This is there for requests that never end.
  quick: 100_000,
};

const REFUSALS: Readonly<Record<Sort, (limit: string) => string>> = {
  acquire: (limit) => `${limit} acquires are in flight, which is the limit; ask again later`,
  hold: (limit) => `${limit} Hold streams are open, which is the limit; keep more leases on each`,
  watching: (limit) =>
    `${limit} streams of health and reflection are open, which is the limit; end some`,
  quick: (limit) => `${limit} calls are in flight, which is the limit; ask again later`,
};

// Of a text in the log. A message may repeat what a caller has sent, and that may be long.
const LONGEST_TEXT = 4000;

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

const SORTS: ReadonlyMap<string, Sort> = new Map([
  ["/stormlock.v1.LockService/Acquire", "acquire"],
  ["/stormlock.v1.LockService/Hold", "hold"],
  ["/grpc.health.v1.Health/Watch", "watching"],
  ["/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "watching"],
  ["/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "watching"],
]);

/** The fields of a request that matter here. */
interface Named {
  readonly resource?: unknown;
  readonly leaseId?: unknown;
}

export interface CallsOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly limits?: Partial<Limits>;
}

/** Every call of every door, from its first byte to its last: counted, timed, told. */
export class Calls {
  readonly clock: Clock;
  readonly log: Log;
  readonly #limits: Limits;
  readonly #inFlight = new Set<Call>();
  readonly #open: Record<Sort, number> = { acquire: 0, hold: 0, watching: 0, quick: 0 };
  readonly #idle: (() => void)[] = [];
  #metrics: Metrics | undefined;
  #isDraining = false;

  constructor({ clock, log, limits = {} }: CallsOptions) {
    this.clock = clock;
    this.log = log;
    this.#limits = { ...LIMITS, ...limits };
  }

  /** Where the numbers go from now on. */
  report(metrics: Metrics): void {
    this.#metrics = metrics;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** A call has begun. Whoever opens one ends it. */
  open(method: string, peer: string): Call {
    const call = new Call(this, method, peer);
    this.#inFlight.add(call);
    this.#open[call.sort] += 1;
    return call;
  }

  /** Why this call, which has been opened, cannot be taken just now. */
  refusal({ sort, isOfLocks }: Call): LockError | undefined {
    if (this.#isDraining && isOfLocks) {
      return stoppingError();
    }
    const limit = this.#limits[sort];
    if (this.#open[sort] <= limit) return undefined;
    return new LockError("overloaded", REFUSALS[sort](String(limit)));
  }

  /** An acquire was refused before anything was done for it: counted, and told of all together. */
  refused(method: string): void {
    this.#metrics?.refused(method);
  }

  /** The same on a Hold stream, where it is no call of its own. */
  refusedOnStream(): void {
    this.#metrics?.refusedOnStream();
  }

  /** Something has gone wrong that nobody has foreseen. */
  failed(method: string, request: unknown, thrown: unknown): void {
    const error = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    this.log.error({ method, error: cut(withoutId(error, named(request))) }, "a call has failed");
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
    if (this.#inFlight.delete(call)) this.#open[call.sort] -= 1;
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

  get sort(): Sort {
    return SORTS.get(this.method) ?? "quick";
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
        ...(code === Code.OK ? {} : { error: cut(withoutId(message, this.#request)) }),
      },
      code === Code.OK ? "call answered" : "call refused",
    );
  }

  #resource(): { resource?: string } {
    const resource = this.#request?.resource;
    if (typeof resource !== "string") return {};
    return { resource: withoutId(resource, this.#request).slice(0, 200) };
  }
}

function named(request: unknown): Named | undefined {
  return typeof request === "object" && request !== null ? request : undefined;
}

// Messages are made without ids, but some are made by drivers, and some callers mix up their
// arguments: the id they sent goes out, wherever it may stand.
function withoutId(text: string, request: Named | undefined): string {
  let without = text;
  for (const id of [request?.leaseId, swappedId(request)]) {
    if (typeof id === "string" && id !== "") without = without.replaceAll(id, "[lease id]");
  }
  return without;
}

// What stands where a resource should, and looks like the ids that are made here.
function swappedId(request: Named | undefined): string | undefined {
  const resource = request?.resource;
  if (typeof resource !== "string" || !/^\s*[0-9a-f]{32}\s*$/iu.test(resource)) return undefined;
  return resource.trim();
}

function cut(text: string): string {
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
}
