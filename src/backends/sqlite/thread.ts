// The main thread's end of the worker: questions out, answers in, and no call without an end.
//
//   C1. Every call settles: by its answer, by the worker's end, or when its time is up.
//   C2. A worker that has ended by itself is replaced at the next call.
//   C3. After close no call is taken, and those under way are answered first.
//   C4. What was given up before the worker came to it is not carried out any more: it was asked
//       by somebody who may be gone, and a renewal that late would outlive its heartbeat.
//   C5. A worker ends by itself, once it is told to: terminated within one of SQLite's calls, it
//       can take the whole process with it. One that hangs is waited for so long, and left.

import type { Worker } from "node:worker_threads";
import type { Clock } from "../../lock/clock.js";
import { LockError } from "../../lock/errors.js";
import type {
  Answers,
  FromWorker,
  ReadQuestion,
  Reply,
  Request,
  WorkerOptions,
  WriteQuestion,
} from "./messages.js";
import { startWorker } from "./start-worker.js";

// A group waits busyMs for the file at most and may have to let one such group pass; the rest
// is for a disk that is slow to make things durable.
const ANSWER_WITHIN_MS = 10_000;

// What Node gives as the id of a worker that has ended.
const ENDED = -1;

interface Call {
  readonly untilMs: number;
  readonly answered: (value: unknown) => void;
  readonly failed: (error: LockError) => void;
}

/** Where questions to a store are asked. */
export interface StoreDesk extends AsyncDisposable {
  /** @throws LockError "unavailable": why the file cannot be used */
  open(): Promise<void>;
  /** @throws LockError "unavailable" */
  ask<Q extends WriteQuestion | ReadQuestion>(question: Q): Promise<Answers[Q[0]]>;
  /** Whether it is to tell when another process has released something. */
  watch(isWanted: boolean): void;
}

export class StoreThread implements StoreDesk {
  readonly #options: WorkerOptions;
  readonly #givenUp = new BigInt64Array(new SharedArrayBuffer(8)); // C4
  readonly #clock: Clock;
  readonly #onReleased: () => void;
  readonly #calls = new Map<number, Call>();
  #worker: Worker | undefined;
  #starting: Promise<Worker> | undefined;
  #closed: Promise<void> | undefined;
  #isWatching = false;
  #lastId = 0;
  #stopTimer: (() => void) | undefined;

  constructor(options: Omit<WorkerOptions, "givenUp">, clock: Clock, onReleased: () => void) {
    this.#options = { ...options, givenUp: this.#givenUp };
    this.#clock = clock;
    this.#onReleased = onReleased;
  }

  /** @throws LockError "unavailable": why the file cannot be used */
  async open(): Promise<void> {
    await this.#running();
  }

  /** @throws LockError "unavailable" */
  async ask<Q extends WriteQuestion | ReadQuestion>(question: Q): Promise<Answers[Q[0]]> {
    if (this.#closed !== undefined) throw this.#closedError();
    const worker = this.#worker ?? (await this.#running());
    return (await this.#send(worker, question)) as Answers[Q[0]];
  }

  watch(isWanted: boolean): void {
    this.#isWatching = isWanted;
    this.#worker?.postMessage([0, ["watch", isWanted]] satisfies Request);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close(); // C3
    return this.#closed;
  }

  async #close(): Promise<void> {
    const worker = this.#worker ?? (await this.#starting?.catch(() => undefined));
    if (worker === undefined) return;
    await this.#end(worker);
  }

  // C5
  async #end(worker: Worker): Promise<void> {
    if (worker.threadId === ENDED) return;
    let stopTimer: (() => void) | undefined;
    const tooLong = new Promise<void>((resolve) => {
      stopTimer = this.#clock.after(ANSWER_WITHIN_MS, resolve);
    });
    const ended = new Promise<void>((resolve) => {
      worker.once("exit", () => {
        resolve();
      });
    });
    worker.postMessage([0, ["close"]] satisfies Request);
    await Promise.race([ended, tooLong]);
    stopTimer?.();
    worker.unref();
  }

  #running(): Promise<Worker> {
    if (this.#worker !== undefined) return Promise.resolve(this.#worker);
    this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  // C2
  async #start(): Promise<Worker> {
    const worker = startWorker(this.#options);
    const opened = new Promise<void>((resolve, reject) => {
      worker.on("message", (message: FromWorker) => {
        if (message[0] === "replies") this.#settle(message[1]);
        else if (message[0] === "released") this.#onReleased();
        else if (message[1] === undefined) resolve();
        else reject(new LockError("unavailable", message[1]));
      });
      const end = (cause: unknown): void => {
        const error = this.#endedError(cause);
        reject(error);
        this.#ended(worker, error);
      };
      worker.once("error", end);
      worker.once("exit", end);
    });
    await this.#withinBound(opened, worker);
    this.#worker = worker;
    if (this.#isWatching) this.watch(true);
    return worker;
  }

  async #withinBound(opened: Promise<void>, worker: Worker): Promise<void> {
    let stopTimer: (() => void) | undefined;
    const tooLong = new Promise<never>((_, reject) => {
      stopTimer = this.#clock.after(ANSWER_WITHIN_MS, () => {
        reject(this.#silentError());
      });
    });
    try {
      await Promise.race([opened, tooLong]);
    } catch (error) {
      void this.#end(worker);
      throw error;
    } finally {
      stopTimer?.();
    }
  }

  #send(worker: Worker, question: WriteQuestion | ReadQuestion): Promise<unknown> {
    return new Promise((answered, failed) => {
      const id = ++this.#lastId;
      const untilMs = this.#clock.monotonicMs() + ANSWER_WITHIN_MS;
      this.#calls.set(id, { untilMs, answered, failed });
      worker.postMessage([id, question] satisfies Request);
      this.#stopTimer ??= this.#clock.after(ANSWER_WITHIN_MS, this.#giveUp);
    });
  }

  #settle(replies: readonly Reply[]): void {
    for (const [id, reason, answer] of replies) {
      const call = this.#calls.get(id);
      if (call === undefined) continue; // It was given up.
      this.#calls.delete(id);
      if (reason === undefined) call.answered(answer);
      else call.failed(new LockError("unavailable", reason));
    }
    if (this.#calls.size === 0) this.#stop();
  }

  // C1. One timer for all calls: they all have the same time, so the oldest is the first due.
  // When the timer was late because this thread was busy, the answer may be in the port
  // already: it is looked for before anything is given up.
  readonly #giveUp = (): void => {
    this.#stopTimer = undefined;
    this.#clock.endOfTurn(() => {
      this.#giveUpOverdue();
    });
  };

  #giveUpOverdue(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [id, { untilMs, failed }] of this.#calls) {
      if (untilMs > nowMs) {
        this.#stopTimer ??= this.#clock.after(untilMs - nowMs, this.#giveUp);
        return;
      }
      this.#calls.delete(id);
      Atomics.store(this.#givenUp, 0, BigInt(id));
      failed(this.#silentError());
    }
  }

  #ended(worker: Worker, error: LockError): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    this.#stop();
    for (const { failed } of calls) failed(error);
  }

  #stop(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
  }

  #closedError(): LockError {
    return new LockError("unavailable", `the store ${this.#options.path} has been closed here`);
  }

  #silentError(): LockError {
    return new LockError(
      "unavailable",
      `the store ${this.#options.path} has not answered for ${String(ANSWER_WITHIN_MS / 1000)} s: look for a disk that hangs or is overloaded`,
    );
  }

  #endedError(cause: unknown): LockError {
    const how = cause instanceof Error ? cause.message : `exit code ${String(cause)}`;
    return new LockError(
      "unavailable",
      `the thread that serves the store ${this.#options.path} has ended (${how}): the next call starts another`,
      { cause },
    );
  }
}
