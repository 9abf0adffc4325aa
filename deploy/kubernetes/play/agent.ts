// A node's agent, from the test's side: one process in the node's network namespace, since this
// one is in another.

import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { resolve } from "node:path";
import { deferred, type Deferred } from "../../../src/lock/deferred.js";

const PROGRAM = resolve("deploy/kubernetes/play/agent.mjs");

/** What a kubelet asks a container, by a full address. */
export type ProbeQuestion =
  | { readonly http: string }
  | { readonly grpc: { readonly address: string; readonly service: string } };

export class NodeAgent implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #open = new Map<number, Deferred<unknown>>();
  #asked = 0;
  #isOver = false;

  /** @param entering what a command begins with that runs on the node */
  constructor(entering: readonly string[]) {
    const [program, ...args] = [...entering, process.execPath, PROGRAM];
    // Nothing of this environment: a proxy, for one, leads to no pod.
    this.#child = spawn(program, args, {
      env: { PATH: process.env["PATH"] ?? "" },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child.stdin?.on("error", () => undefined);
    if (this.#child.stdout !== null)
      createInterface(this.#child.stdout).on("line", (line) => {
        this.#take(JSON.parse(line) as Answer);
      });
    this.#ended = new Promise((ended) => {
      this.#child.once("error", ended).once("close", ended);
    }).then(() => {
      this.#isOver = true;
      for (const { reject } of this.#open.values()) reject(new Error("the node's agent has ended"));
    });
  }

  /**
   * Leads connections to one address on to others, in turn; from now on to these.
   * @param to `host:port` or `unix:PATH`; without any, connections are refused
   */
  async lead(from: string, to: readonly string[]): Promise<void> {
    await this.#ask({ lead: { from, to } });
  }

  /** Whether the answer is the one that a probe wants; false, too, when none comes in time. */
  async passes(question: ProbeQuestion, withinMs: number): Promise<boolean> {
    return (await this.#ask({ ...question, withinMs })) === true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  #ask(question: object): Promise<unknown> {
    if (this.#isOver) return Promise.reject(new Error("the node's agent has ended"));
    const id = (this.#asked += 1);
    const answer = deferred<unknown>();
    this.#open.set(id, answer);
    this.#child.stdin?.write(`${JSON.stringify({ id, ...question })}\n`);
    return answer.promise;
  }

  #take({ id, answer, error }: Answer): void {
    const asked = this.#open.get(id);
    this.#open.delete(id);
    if (error === undefined) asked?.resolve(answer);
    else asked?.reject(new Error(`the node's agent: ${error}`));
  }
}

interface Answer {
  readonly id: number;
  readonly answer?: unknown;
  readonly error?: string;
}
