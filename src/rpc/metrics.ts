import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import { Code, codeName } from "./code.js";

/** What the metrics tell of the locks. */
export interface LockStats {
  /** How many callers wait for an answer to an acquire. */
  readonly waiters: number;
  /** How many resources something is under way for. */
  readonly busyResources: number;
}

/** What the metrics tell of the Hold streams. */
export interface HoldStats {
  /** How many streams are open. */
  readonly streams: number;
  /** How many leases they keep. */
  readonly leases: number;
}

// From "the store is in memory" to "somebody waited for a minute".
const BUCKETS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 15, 60];

// A quiet loop is late by a millisecond at the most; with seconds, heartbeats are missed.
const DELAY_BUCKETS_S = [
  0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
];

// What belongs to the process is collected once, however many servers it has: the collectors
// hold timers and observers that nothing ever stops.
let ofProcess: Registry | undefined;

function processRegistry(): Registry {
  if (ofProcess === undefined) {
    ofProcess = new Registry();
    collectDefaultMetrics({ register: ofProcess });
  }
  return ofProcess;
}

/** Numbers for Prometheus. Labels are of few values: names of methods and codes, nothing of callers. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #calls: Counter<"method" | "code">;
  readonly #seconds: Histogram<"method">;
  readonly #granted: Counter;
  readonly #held: Counter;
  readonly #lost: Counter;
  readonly #refused: Counter;
  readonly #dropped: Counter;
  readonly #loopDelay: Histogram;

  constructor(
    locks: LockStats,
    holds: HoldStats,
    callsInFlight: () => number,
    connections: () => number,
  ) {
    const registers = [this.#registry];
    this.#calls = new Counter({
      name: "stormlock_calls_total",
      help: "Calls that have ended, by method and status code.",
      labelNames: ["method", "code"],
      registers,
    });
    this.#seconds = new Histogram({
      name: "stormlock_call_seconds",
      help: "How long calls took, the time in queues included.",
      labelNames: ["method"],
      buckets: BUCKETS_S,
      registers,
    });
    const counter = (name: string, help: string): Counter => new Counter({ name, help, registers });
    this.#granted = counter("stormlock_leases_granted_total", "Acquires that were granted.");
    this.#held = counter(
      "stormlock_leases_held_total",
      "Acquires refused: somebody else holds it.",
    );
    this.#lost = counter("stormlock_leases_lost_total", "Renewals that came too late.");
    this.#refused = counter(
      "stormlock_acquires_refused_total",
      "Acquires refused at once, because this daemon had more to answer than it can.",
    );
    this.#dropped = counter(
      "stormlock_connections_dropped_total",
      "Connections that were not taken, because too many are open.",
    );
    this.#loopDelay = new Histogram({
      name: "stormlock_event_loop_delay_seconds",
      help: "How much later than it was due a timer ran: how long whatever arrives is not looked at.",
      buckets: DELAY_BUCKETS_S,
      registers,
    });
    const gauge = (name: string, help: string, read: () => number): Gauge =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    gauge("stormlock_waiters", "Callers that wait for an acquire.", () => locks.waiters);
    gauge(
      "stormlock_busy_resources",
      "Resources for which something is under way.",
      () => locks.busyResources,
    );
    gauge("stormlock_hold_streams", "Hold streams that are open.", () => holds.streams);
    gauge("stormlock_leases_kept", "Leases that Hold streams keep here.", () => holds.leases);
    gauge("stormlock_calls_in_flight", "Calls that have not ended.", callsInFlight);
    gauge("stormlock_connections", "Connections that are open.", connections);
    processRegistry();
  }

  /** One call has ended. */
  observe(method: string, code: number, seconds: number): void {
    this.#calls.inc({ method, code: codeName(code) });
    this.#seconds.observe({ method }, seconds);
    if (method.endsWith("/Acquire")) {
      if (code === Code.OK) this.#granted.inc();
      if (code === Code.ALREADY_EXISTS) this.#held.inc();
    }
    if (method.endsWith("/Renew") && code === Code.NOT_FOUND) this.#lost.inc();
  }

  /** A call was refused before it was begun. */
  refused(method: string): void {
    this.#calls.inc({ method, code: codeName(Code.UNAVAILABLE) });
    this.#refused.inc();
  }

  /** An acquire was refused that came on a Hold stream. */
  refusedOnStream(): void {
    this.#refused.inc();
  }

  /** A connection was not taken. */
  dropped(): void {
    this.#dropped.inc();
  }

  /** The event loop was late by so much. */
  delayed(seconds: number): void {
    this.#loopDelay.observe(seconds);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Everything, in Prometheus' text form. */
  text(): Promise<string> {
    return Registry.merge([this.#registry, processRegistry()]).metrics();
  }
}
