// One trial: a first wrapper holds, a second one waits, a fault strikes, the second one gets the
// lock and runs its command to the end.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { isAlive, ProcessTable } from "../cmd/stormlock/hold/process-table.js";
import { HOLDER_CODE, type Fault, type FaultName, type Shape } from "./faults.js";
import { hostMs, pause, until } from "./host.js";
import { SUCCESSOR_CODE, type Record } from "./judge.js";
import { openWay, type Way } from "./network.js";
import { Program, type Ended } from "./program.js";
import type { Stage } from "./stage.js";
import type { Wrapper } from "./wrappers.js";

const COMMAND = resolve("trials/command.pl");
const BLOCK_LOOP = resolve("trials/block-loop.cjs");

// On a machine that has better things to do than this.
const START_WITHIN_MS = 20_000;
// Long enough for a holder who does not stop to be seen beside the next one.
const SUCCESSOR_LIVES_S = 0.4;
const BLOCKED_TTLS = 3;
// What a wrapper that says nothing is given to come to wait.
const SILENT_WAIT_MS = 600;
const END_WITHIN_MS = 15_000;
const ORPHANS_SEEN_MS = 1500;

export interface Plan {
  readonly trial: string;
  readonly seed: number;
  readonly wrapper: Wrapper;
  readonly faultName: FaultName;
  readonly fault: Fault;
  readonly shape: Shape;
  readonly ttlMs: number;
  readonly graceMs: number;
  /** How long the trial has been ready when a wrapper or its network is struck. */
  readonly strikeAfterMs: number;
  /** Strike as soon as the first command lives, before anybody waits. */
  readonly isEarly: boolean;
}

const table = new ProcessTable();

export class Trial implements AsyncDisposable {
  readonly #plan: Plan;
  readonly #stage: Stage;
  /** Where the commands write that they live. */
  readonly #lives: string;
  readonly #block: string;
  #way: Way | undefined;
  #a: Program | undefined;
  #b: Program | undefined;
  #struckMs: number | undefined;
  #wasStuck = false;

  constructor(plan: Plan, stage: Stage, lives: string) {
    this.#plan = plan;
    this.#stage = stage;
    this.#lives = lives;
    this.#block = join(stage.home, `${plan.trial}.block`);
  }

  /** Until one holds and the other waits. @returns false when it does not come to that */
  async prepare(): Promise<boolean> {
    const { fault, wrapper, isEarly, strikeAfterMs } = this.#plan;
    const server = this.#server("first");
    if (fault.strikes === "network") this.#way = await openWay(server);
    writeFileSync(this.#block, "");
    this.#a = this.#start("a", this.#way?.address ?? server);
    if ((await until(() => this.#hasBegun("a"), START_WITHIN_MS)) === undefined) return false;
    const second = this.#start("b", this.#server("second"));
    this.#b = second;
    if (isEarly) {
      await pause(strikeAfterMs / 5);
      return true;
    }
    const { waits } = wrapper;
    if (waits === undefined) await pause(SILENT_WAIT_MS);
    else if ((await until(() => waits.test(second.said), START_WITHIN_MS)) === undefined) {
      return false;
    }
    return true;
  }

  /** The fault that is this trial's alone strikes. */
  async strike(): Promise<void> {
    if (!this.#plan.isEarly) await pause(this.#plan.strikeAfterMs);
    this.#strikeAlone();
    this.struck();
  }

  #strikeAlone(): void {
    switch (this.#plan.faultName) {
      case "wrapper-stop":
        this.#a?.kill("SIGSTOP");
        return;
      case "wrapper-kill":
        this.#a?.kill("SIGKILL");
        return;
      case "wrapper-hup":
        this.#a?.kill("SIGHUP");
        return;
      case "loop-block":
        writeFileSync(this.#block, String(BLOCKED_TTLS * this.#plan.ttlMs));
        return;
      case "packets-drop":
        this.#way?.drop();
        return;
      case "daemon-stop":
      case "daemon-kill":
      case "store-stop":
        return; // The round's.
    }
  }

  /** It has struck, whoever it was. */
  struck(): void {
    this.#struckMs = hostMs();
  }

  /** Until the second command lives. @returns whether it does */
  async served(): Promise<boolean> {
    const { ttlMs, wrapper } = this.#plan;
    const withinMs = ttlMs + wrapper.servedWithinMs;
    return (await until(() => this.#hasBegun("b"), withinMs)) === true;
  }

  /** The fault was taken back for the second wrapper to be served at all. */
  stuck(): void {
    this.#wasStuck = true;
  }

  /** To the end of both, and of everything that they started. */
  async finish(): Promise<void> {
    const servedEnd = this.#b === undefined ? undefined : await endOf(this.#b);
    this.#a?.kill("SIGCONT");
    const end = this.#a === undefined ? undefined : await endOf(this.#a);
    if (servedEnd === undefined && this.#b !== undefined) await endOf(this.#b);
    const untilMs = (end?.atMs ?? hostMs()) + this.#plan.graceMs + ORPHANS_SEEN_MS;
    await until(() => this.#living("a").length === 0, Math.max(0, untilMs - hostMs()));
  }

  /** What is known of it but the lives. */
  record(): Omit<Record, "lives" | "wallToHostMs"> {
    const { trial, seed, wrapper, faultName, shape, ttlMs, graceMs } = this.#plan;
    return {
      ...{ trial, seed, shape, ttlMs, graceMs, wasStuck: this.#wasStuck },
      ...{ wrapper: wrapper.name, store: this.#stage.storeName, fault: faultName },
      hasTokens: wrapper.asksDaemons,
      struckMs: this.#struckMs,
      a: this.#a?.end,
      b: this.#b?.end,
      said: { a: this.#a?.said ?? "", b: this.#b?.said ?? "" },
    };
  }

  /** Ends whatever is left of it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#a?.destroy(), this.#b?.destroy()]);
    for (const pid of [...this.#living("a"), ...this.#living("b")]) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // Just gone.
      }
    }
    await this.#way?.[Symbol.asyncDispose]();
  }

  #start(role: "a" | "b", server: string): Program {
    const { trial, wrapper, shape, ttlMs, faultName } = this.#plan;
    const life =
      role === "a"
        ? [shape, String(wrapper.holderLivesS), String(HOLDER_CODE)]
        : ["plain", String(SUCCESSOR_LIVES_S), String(SUCCESSOR_CODE)];
    const command = ["perl", COMMAND, this.#lives, `${trial}.${role}`, ...life];
    const isBlocked = role === "a" && faultName === "loop-block";
    return new Program({
      argv: wrapper.argv({
        ...{ resource: trial, server, folder: this.#stage.home, ttlMs, command },
      }),
      env: isBlocked ? { NODE_OPTIONS: `--require ${BLOCK_LOOP}`, TRIALS_BLOCK: this.#block } : {},
      cwd: this.#stage.home,
      log: join(this.#stage.home, `${trial}.${role}.log`),
    });
  }

  #server(which: "first" | "second"): string {
    if (this.#plan.wrapper.asksDaemons) return this.#stage[which].address;
    return this.#stage.store.address ?? "";
  }

  /** Whether a command has written its first stamp. */
  #hasBegun(role: "a" | "b"): boolean {
    return this.#files(role).some(
      (file) => readFileSync(join(this.#lives, file), "latin1").split("\n").length > 2,
    );
  }

  #files(role: "a" | "b"): string[] {
    return readdirSync(this.#lives).filter((file) =>
      file.startsWith(`${this.#plan.trial}.${role}.`),
    );
  }

  #living(role: "a" | "b"): number[] {
    return this.#files(role).flatMap((file) => {
      const pid = Number(file.slice(file.lastIndexOf(".") + 1));
      const stat = table.stat(pid);
      return stat !== undefined && isAlive(stat) && this.#isCommand(pid) ? [pid] : [];
    });
  }

  // Process ids are used again.
  #isCommand(pid: number): boolean {
    try {
      return readFileSync(`/proc/${String(pid)}/cmdline`, "latin1").includes(this.#lives);
    } catch {
      return false;
    }
  }
}

async function endOf(program: Program): Promise<Ended | undefined> {
  return await until(() => program.end, END_WITHIN_MS);
}
