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

  /** Ends the run that is under way, as somebody on the node would. */
  kill(signal: NodeJS.Signals): void {
    this.#running.kill(signal);
  }

  /** SIGTERM, and SIGKILL after the grace period; to its end. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#terminate(this.#running, this.#supervision.graceMs);
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
      this.#say(`ended ${String(code)}`);
      if (!this.#supervision.isRestarted || signal.aborted) return code;
      if (!(await slept(RESTARTED_AFTER_MS, signal))) return code;
      this.#running = this.#begin();
    }
  }

  async #probe(running: RunningContainer, over: AbortSignal, started: () => void): Promise<void> {
    const { startupProbe, livenessProbe } = this.#container;
    if (startupProbe !== undefined) {
      while (!(await this.#asks(startupProbe, over))) if (over.aborted) return;
    }
    started();
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
