// A network that delivers what a client says and may lose the answer.

import {
  createConnection,
  createServer,
  type AddressInfo,
  type Server,
  type Socket,
} from "node:net";

export class LossyProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #losesAnswers = false;
  #lost = 0;

  private constructor(port: number) {
    this.#server = createServer({ noDelay: true }, (near) => {
      const far = createConnection({ host: "127.0.0.1", port, noDelay: true });
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(socket);
        socket.on("error", () => undefined);
        socket.once("close", () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
      }
      near.on("data", (bytes) => far.write(bytes));
      far.on("data", (bytes) => {
        // A refusal (of a script that the server does not know yet) is no answer.
        if (!this.#losesAnswers || bytes.toString("latin1", 0, 1) === "-") {
          near.write(bytes);
          return;
        }
        // The server has done what it was asked, since it answers.
        this.#losesAnswers = false;
        this.#lost++;
        near.destroy();
      });
    });
  }

  static async open(port: number): Promise<LossyProxy> {
    const proxy = new LossyProxy(port);
    await new Promise<void>((ready) => proxy.#server.listen(0, "127.0.0.1", ready));
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  /** How many answers have been lost. */
  get lost(): number {
    return this.#lost;
  }

  /** The next answer does not arrive; its connection is cut instead. */
  loseNextAnswer(): void {
    this.#losesAnswers = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((closed) => this.#server.close(closed));
  }
}
