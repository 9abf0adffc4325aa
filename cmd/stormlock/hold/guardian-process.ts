import { spawn, type ChildProcess } from "node:child_process";
import type { Duplex } from "node:stream";
import { LineReader, toLine, type FromGuardian, type ToGuardian } from "./guardian-messages.js";
import { GUARDIAN } from "./guardian-program.js";

/** Starting takes 30-90 ms; this much is an overloaded host. */
const ANSWER_MS = 5000;
/** A guardian that does not confirm a deadline within this time is stopped or stuck. */
const SILENCE_MS = 3000;

export interface GuardianEvents {
  /** It has asked the command to end. */
  terminating(): void;
  /** It is dead, or was killed because it did not answer. */
  died(): void;
}

/** One guardian process, as its wrapper sees it. */
export class GuardianProcess {
  readonly #process: ChildProcess;
  /** Nothing when the process could not even be started. */
  readonly #link: Duplex | undefined;
  readonly #events: GuardianEvents;
  readonly #lines = new LineReader<FromGuardian>();
  readonly #exited: Promise<void>;
  #isAlive = true;
  /** Whether it has confirmed the latest order. */
  #guardsOrder = false;
  #guards: (() => void) | undefined;
  #deadlinesSent = 0;
  #deadlinesSeen = 0;
  #silence: NodeJS.Timeout | undefined;

  /** Starts it; it is of use when `guard` has been answered. */
  constructor(events: GuardianEvents) {
    this.#events = events;
    // An environment of its own: no NODE_OPTIONS that make it slow or let it be debugged, and no
    // marker of a hold around this one.
    const { LD_LIBRARY_PATH } = process.env;
    this.#process = spawn(process.execPath, [GUARDIAN, String(process.pid)], {
      cwd: "/",
      detached: true,
      env: LD_LIBRARY_PATH === undefined ? {} : { LD_LIBRARY_PATH },
      stdio: ["ignore", "ignore", "ignore", "pipe"],
    });
    this.#link = linkOf(this.#process);
    this.#exited = new Promise((resolve) => {
      const onExit = (): void => {
        this.#dead();
        resolve();
      };
      this.#process.once("exit", onExit);
      this.#process.once("error", onExit);
    });
    this.#link?.setEncoding("utf8");
    this.#link?.on("data", (piece: string) => {
      for (const message of this.#lines.read(piece)) this.#take(message);
    });
    // Its death is told by the process, which Node reaps for us.
    this.#link?.on("error", () => undefined);
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /**
   * Has it watch over what is about to start or to appear.
   * @returns false when it is dead or does not answer: then it guards nothing
   */
  async guard(order: Extract<ToGuardian, { say: "guard" | "guard-files" }>): Promise<boolean> {
    this.#guardsOrder = false;
    this.say(order);
    let tooLong: NodeJS.Timeout | undefined;
    const guards = await Promise.race([
      new Promise<true>((resolve) => {
        this.#guards = () => {
          resolve(true);
        };
      }),
      this.#exited.then(() => false),
      new Promise<false>((resolve) => {
        tooLong = setTimeout(resolve, ANSWER_MS, false);
      }),
    ]);
    clearTimeout(tooLong);
    return guards && this.#isAlive;
  }

  say(message: ToGuardian): void {
    if (this.#isAlive && this.#link?.writable === true) this.#link.write(toLine(message));
  }

  /** Tells a new deadline, and kills a guardian that does not confirm it. */
  sayDeadline(deadline: Extract<ToGuardian, { say: "deadline" }>["deadline"]): void {
    const count = ++this.#deadlinesSent;
    this.say({ say: "deadline", count, deadline });
    if (!this.#guardsOrder) return; // Whoever waits for its first answer has a patience of his own.
    this.#silence ??= setTimeout(() => {
      // It may have answered while this process was stopped: read that first.
      setImmediate(() => {
        this.#silence = undefined;
        if (this.#deadlinesSeen < count) this.kill();
      });
    }, SILENCE_MS);
  }

  /** Tells it that nothing is left to guard, and waits until it has left. */
  async dismiss(): Promise<void> {
    this.say({ say: "done" });
    this.#link?.end();
    const tooLong = setTimeout(() => {
      this.kill();
    }, SILENCE_MS);
    await this.#exited;
    clearTimeout(tooLong);
  }

  /** Ends it, stopped or not. */
  kill(): void {
    this.#isAlive = false;
    this.#process.kill("SIGKILL");
  }

  #take(message: FromGuardian): void {
    if (message.say === "guarding") {
      this.#guardsOrder = true;
      this.#guards?.();
    } else if (message.say === "seen") this.#deadlinesSeen = message.count;
    // Before that it is about what it guarded earlier.
    else if (this.#guardsOrder) this.#events.terminating();
  }

  #dead(): void {
    this.#isAlive = false;
    clearTimeout(this.#silence);
    this.#link?.destroy();
    this.#events.died();
  }
}

// The types promise streams, but there are none when this process may open no more files.
function linkOf(process: ChildProcess): Duplex | undefined {
  const stdio: ChildProcess["stdio"] | undefined = process.stdio;
  return (stdio as readonly unknown[] | undefined)?.[3] as Duplex | undefined;
}
