// A network that passes what is asked on to the server, and cuts the connection before the answer.

import { createConnection, createServer, type AddressInfo, type Socket } from "node:net";

export class SpoilingProxy implements AsyncDisposable {
  readonly #server;
  readonly #links = new Set<Socket>();
  #answersToPass = Infinity;
  /** How many connections were ever made. */
  connections = 0;

  private constructor(port: number) {
    this.#server = createServer({ noDelay: true }, (near) => {
      this.connections += 1;
      const far = createConnection({ host: "127.0.0.1", port, noDelay: true });
      const close = (): void => {
        for (const socket of [near, far]) {
          socket.destroy();
          this.#links.delete(socket);
        }
      };
      for (const socket of [near, far]) {
        this.#links.add(socket);
        socket.on("error", close);
        socket.on("close", close);
      }
      near.on("data", (bytes) => far.write(bytes));
      far.on("data", (bytes) => {
        // An answer: the question has been carried out, and nobody hears of it.
        if (this.#answersToPass-- > 0) near.write(bytes);
        else close();
      });
    });
  }

  static async open(port: number): Promise<SpoilingProxy> {
    const proxy = new SpoilingProxy(port);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Runs `asking`, whose answers are lost, all but the first `passed` of them. */
  async losingAnswers<T>(asking: () => Promise<T>, passed = 0): Promise<T> {
    this.#answersToPass = passed;
    try {
      return await asking();
    } finally {
      this.#answersToPass = Infinity;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
    for (const socket of this.#links) socket.destroy();
    await closed;
  }
}
