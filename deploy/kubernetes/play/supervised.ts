// A container over all its runs: probed while it runs, started again where the manifest says so.

import { setTimeout as sleep } from "node:timers/promises";
import { deferred } from "../../../src/lock/deferred.js";
import { RunningContainer, type ContainerPlace } from "./container.js";
import type { Container, Probe } from "./model.js";
import { passes } from "./probe.js";

// A kubelet waits ten seconds and more from the second time on.
const RESTARTED_AFTER_MS = 1000;

const DEFAULT_PERIOD_SECONDS = 10;
const DEFAULT_FAILURES = 3;
// A kubelet asks for readiness as soon as it has heard that the container runs, and then in periods.
const FIRST_LOOK_MS = 1000;

export interface Supervision {
  readonly podName: string;
  readonly place: ContainerPlace;
  readonly isRestarted: boolean;
  readonly graceMs: number;
}

export class SupervisedContainer {
  /** Its startup probe has passed; at once when it has none. */
  readonly started: Promise<void>;
  /** It has ended, and is not started again. @returns the exit code of its last run */
  readonly ended: Promise<number>;
  readonly lines: string[] = [];
  readonly #container: Container;
  readonly #supervision: Supervision;
  readonly #stop = new AbortController();
  #running: RunningContainer;
  #isReady = false;

  constructor(container: Container, supervision: Supervision) {
    this.#container = container;
    this.#supervision = supervision;
    const started = deferred<undefined>();
    this.started = started.promise;
    this.#running = this.#begin();
    this.ended = this.#run(() => {
      started.resolve(undefined);
    });
  }

  /** The first process of its run now, as the node numbers it. */
  get pid(): number {
    return this.#running.pid;
  }

  /** It runs, and its readiness probe passes, if it has one. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Ends the run that is under way, as somebody on the node would. */
  kill(signal: NodeJS.Signals): void {
    this.#running.kill(signal);
  }

  /** SIGTERM, and SIGKILL after what is left of the grace period; to its end. */
  async stop(graceMs: number): Promise<void> {
    this.#stop.abort();
    await this.#terminate(this.#running, graceMs);
    await this.ended;
  }

  async destroy(): Promise<void> {
    this.#stop.abort();
    await this.#running.destroy();
    await this.ended;
  }

  #say(what: string): void {
    const { place, podName } = this.#supervision;
    place.node.events.push(`${podName}/${this.#container.name} ${what}`);
  }

  #begin(): RunningContainer {
    this.#say("started");
    return new RunningContainer(this.#container, this.#supervision.place, this.lines);
  }

  async #run(started: () => void): Promise<number> {
    const { signal } = this.#stop;
    for (;;) {
      const running = this.#running;
      const over = new AbortController();
      const probing = this.#probe(running, over.signal, started);
      const code = await running.ended;
      over.abort();
      await probing;
      this.#isReady = false;
      this.#say(`ended ${String(code)}`);
      if (!this.#supervision.isRestarted || signal.aborted) return code;
      if (!(await slept(RESTARTED_AFTER_MS, signal))) return code;
      this.#running = this.#begin();
    }
  }

  async #probe(running: RunningContainer, over: AbortSignal, started: () => void): Promise<void> {
    const { startupProbe } = this.#container;
    if (startupProbe !== undefined) {
      while (!(await this.#asks(startupProbe, over))) if (over.aborted) return;
    }
    started();
    await Promise.all([this.#watchReadiness(over), this.#watchLiveness(running, over)]);
  }

  async #watchReadiness(over: AbortSignal): Promise<void> {
    const { readinessProbe } = this.#container;
    if (readinessProbe === undefined) {
      this.#isReady = !over.aborted;
      return;
    }
    const { periodSeconds = DEFAULT_PERIOD_SECONDS, failureThreshold = DEFAULT_FAILURES } =
      readinessProbe;
    const { place } = this.#supervision;
    let failures = 0;
    for (let waitMs = FIRST_LOOK_MS; await slept(waitMs, over); waitMs = periodSeconds * 1000) {
      failures = (await passes(readinessProbe, this.#container, place)) ? 0 : failures + 1;
      if (over.aborted) return;
      const isReady = failures === 0 || (this.#isReady && failures < failureThreshold);
      if (isReady !== this.#isReady) this.#say(isReady ? "is ready" : "is not ready");
      this.#isReady = isReady;
    }
  }

  async #watchLiveness(running: RunningContainer, over: AbortSignal): Promise<void> {
    const { livenessProbe } = this.#container;
    if (livenessProbe === undefined) return;
    const { failureThreshold = DEFAULT_FAILURES, terminationGracePeriodSeconds } = livenessProbe;
    for (let failures = 0; failures < failureThreshold;) {
      failures = (await this.#asks(livenessProbe, over)) ? 0 : failures + 1;
      if (over.aborted) return;
    }
    this.#say("is not alive");
    const graceSeconds = terminationGracePeriodSeconds ?? this.#supervision.graceMs / 1000;
    await this.#terminate(running, graceSeconds * 1000);
  }

  async #asks(probe: Probe, over: AbortSignal): Promise<boolean> {
    const periodMs = (probe.periodSeconds ?? DEFAULT_PERIOD_SECONDS) * 1000;
    return (
      (await slept(periodMs, over)) &&
      (await passes(probe, this.#container, this.#supervision.place))
    );
  }

  async #terminate(running: RunningContainer, graceMs: number): Promise<void> {
    running.kill("SIGTERM");
    const over = new AbortController();
    const patience = sleep(graceMs, "late", { signal: over.signal }).catch(() => "ended");
    const first = await Promise.race([running.ended, patience]);
    over.abort();
    if (first !== "late") return;
    this.#say("killed after the grace period");
    running.kill("SIGKILL");
    await running.ended;
  }
}

/** false when it was cut short */
async function slept(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(ms, undefined, { signal });
    return true;
  } catch {
    return false;
  }
}
