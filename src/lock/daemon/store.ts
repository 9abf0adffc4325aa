import type { Backend } from "../backend.js";
import { Batcher } from "./batcher.js";
import type { Clock } from "../clock.js";
import { watchFor } from "./hints.js";
import { ResourceLine, type LineOwner } from "./line.js";

/** One backend at work: its batches, and a line for every resource that is being asked about. */
export class Store implements LineOwner {
  readonly backend: Backend;
  readonly batcher: Batcher;
  readonly clock: Clock;
  readonly #lines = new Map<string, ResourceLine>();
  // Lines with somebody who waits for another's lease to end.
  readonly #hinted = new Set<ResourceLine>();
  #unwatch: (() => void) | undefined;
  #isSweeping = false;
  #sweepAgain = false;

  constructor(backend: Backend, clock: Clock) {
    this.backend = backend;
    this.clock = clock;
    this.batcher = new Batcher(backend, clock);
  }

  get lines(): Iterable<ResourceLine> {
    return this.#lines.values();
  }

  get resources(): number {
    return this.#lines.size;
  }

  line(resource: string): ResourceLine {
    let line = this.#lines.get(resource);
    if (line === undefined) {
      line = new ResourceLine(resource, this);
      this.#lines.set(resource, line);
    }
    return line;
  }

  forget(line: ResourceLine): void {
    if (this.#lines.get(line.resource) === line) this.#lines.delete(line.resource);
    this.#hinted.delete(line);
    if (this.#hinted.size > 0) return;
    this.#unwatch?.();
    this.#unwatch = undefined;
  }

  // The store is watched for as long as somebody waits. What became free before the watch began
  // was not seen: hence the look at the beginning.
  wantHints(line: ResourceLine): void {
    this.#hinted.add(line);
    if (this.#unwatch !== undefined || this.backend.watch === undefined) return;
    this.#unwatch = watchFor(this.backend, (resource) => {
      this.#mayBeFree(resource);
    });
    this.#mayBeFree(undefined);
  }

  #mayBeFree(resource: string | undefined): void {
    if (resource !== undefined) {
      this.#lines.get(resource)?.hint();
      return;
    }
    this.#sweepAgain = true;
    if (!this.#isSweeping) void this.#sweep();
  }

  // "Anything may be free": a read tells which, so that not everybody writes.
  async #sweep(): Promise<void> {
    this.#isSweeping = true;
    while (this.#sweepAgain && this.#hinted.size > 0) {
      this.#sweepAgain = false;
      await Promise.all([...this.#hinted].map((line) => this.#wakeIfFree(line)));
    }
    this.#isSweeping = false;
  }

  async #wakeIfFree(line: ResourceLine): Promise<void> {
    try {
      if ((await this.batcher.current(line.resource)) === undefined) line.hint();
    } catch {
      // A hint that cannot be looked into is a hint lost: the line's own alarm remains.
    }
  }
}
