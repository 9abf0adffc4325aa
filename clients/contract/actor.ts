// A program in any language that uses a client library and tells of it: README.md says how.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { hostMs, until } from "../../test/support/hold-cli.js";

// Longer than any scenario takes.
const MOST_MS = 120_000;
const STOPPED_WITHIN_MS = 10_000;

export interface ActorOptions {
  /** How often it tells what is held; 10 ms when left out. */
  readonly everyMs?: number;
  /** After so long it is killed; two minutes when left out. */
  readonly mostMs?: number;
}

export interface Order {
  readonly resource: string;
  readonly ttlMs: number;
  readonly waitMs: number;
}

/** What an actor said; times are the host's monotonic clock. */
type Said =
  | { readonly says: "granted"; readonly resource: string; readonly token: string }
  | { readonly says: "refused"; readonly resource: string; readonly principal: string }
  | { readonly says: "failed"; readonly resource: string; readonly why: string }
  | { readonly says: "held"; readonly resource: string; readonly atMs: number }
  | { readonly says: "lost"; readonly resource: string }
  | { readonly says: "released"; readonly resource: string; readonly wasKept: boolean };

/** What an actor has told of one resource, since it was last asked to hold it. */
export interface Told {
  readonly token: bigint | undefined;
  readonly refusedFor: string | undefined;
  readonly failure: string | undefined;
  /** When it claimed to hold it: each time was read before the library was asked. */
  readonly heldAtMs: number[];
  readonly isLost: boolean;
  readonly isReleased: boolean;
  /** Whether it was held to the end, as the library tells of the release. */
  readonly wasKept: boolean | undefined;
}

const nothing = (): Told => ({
  ...{ token: undefined, refusedFor: undefined, failure: undefined },
  ...{ heldAtMs: [], isLost: false, isReleased: false, wasKept: undefined },
});

export class Actor implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #told = new Map<string, Told>();
  readonly #overdue: NodeJS.Timeout;
  #stderr = "";
  #isPaused = false;

  constructor(
    command: readonly string[],
    servers: readonly string[],
    principal: string,
    { everyMs, mostMs = MOST_MS }: ActorOptions = {},
  ) {
    const [program = "", ...args] = command;
    const every = everyMs === undefined ? [] : [String(everyMs)];
    this.#child = spawn(program, [...args, servers.join(","), principal, ...every], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#child.on("error", (error) => (this.#stderr += error.message));
    this.#child.stdin?.on("error", () => undefined);
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#stderr += text));
    if (this.#child.stdout !== null) {
      createInterface(this.#child.stdout).on("line", (line) => {
        this.#hear(line);
      });
    }
    this.#overdue = setTimeout(() => this.#child.kill("SIGKILL"), mostMs);
  }

  /** Asks it to take a lock and keep it. */
  hold(order: Order): void {
    this.#told.set(order.resource, nothing());
    this.#say({ do: "hold", ...order });
  }

  release(resource: string): void {
    this.#say({ do: "release", resource });
  }

  told(resource: string): Told {
    return this.#told.get(resource) ?? nothing();
  }

  /** When it last claimed to hold it; -Infinity when it never did. */
  lastHeldAtMs(resource: string): number {
    return this.told(resource).heldAtMs.at(-1) ?? -Infinity;
  }

  /** Waits until it holds it. @returns the token that it was told */
  async granted(resource: string, withinMs?: number): Promise<bigint> {
    const isGranted = (told: Told): boolean => {
      if (told.failure !== undefined) throw new Error(`${resource}: ${told.failure}`);
      return told.token !== undefined && told.heldAtMs.length > 0;
    };
    return (await this.until(resource, "it is granted", isGranted, withinMs)).token ?? 0n;
  }

  /** Waits until what was told is so; half a minute when `withinMs` is left out. */
  async until(
    resource: string,
    what: string,
    isSo: (told: Told) => boolean,
    withinMs?: number,
  ): Promise<Told> {
    const found = (): Told | false => {
      if (this.#child.exitCode !== null) throw new Error(`the actor has ended: ${this.#stderr}`);
      const told = this.told(resource);
      return isSo(told) && told;
    };
    try {
      return await until(`${resource}: ${what}`, found, withinMs);
    } catch (error) {
      throw new Error(`${String(error)}; the actor's stderr: ${this.#stderr}`, { cause: error });
    }
  }

  /** Waits until it claims to hold it at a moment that is still to come. */
  async stillHolds(resource: string): Promise<void> {
    const afterMs = hostMs();
    await this.until(resource, "it is still held", ({ isLost }) => {
      if (isLost) throw new Error(`${resource} is lost`);
      return this.lastHeldAtMs(resource) > afterMs;
    });
  }

  /** Stops the whole process, as a suspended machine does. */
  pause(): void {
    this.#isPaused = true;
    this.#child.kill("SIGSTOP");
  }

  goOn(): void {
    this.#isPaused = false;
    this.#child.kill("SIGCONT");
  }

  /** Releases what it holds, since its input ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isPaused) this.goOn();
    clearTimeout(this.#overdue);
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.stdin?.end();
    const overdue = setTimeout(() => this.#child.kill("SIGKILL"), STOPPED_WITHIN_MS);
    await ended;
    clearTimeout(overdue);
  }

  #say(words: object): void {
    this.#child.stdin?.write(`${JSON.stringify(words)}\n`);
  }

  #hear(line: string): void {
    const said = JSON.parse(line) as Said;
    this.#told.set(said.resource, after(this.told(said.resource), said));
  }
}

function after(told: Told, said: Said): Told {
  switch (said.says) {
    case "granted":
      return { ...told, token: BigInt(said.token) };
    case "refused":
      return { ...told, refusedFor: said.principal };
    case "failed":
      return { ...told, failure: said.why };
    case "held":
      told.heldAtMs.push(said.atMs); // A hundred of them a second: none is copied.
      return told;
    case "lost":
      return { ...told, isLost: true };
    case "released":
      return { ...told, isReleased: true, wasKept: said.wasKept };
  }
}
