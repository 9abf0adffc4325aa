// A network that carries a question to the store, and not the answer back.

import { createConnection, createServer, type AddressInfo, type Socket } from "node:net";

// Until etcd has surely carried out what it was told.
const CUT_AFTER_MS = 300;

export class HalfDeaf implements AsyncDisposable {
  /** Answers lost since the beginning. */
  lost = 0;
  readonly #server;
  readonly #sockets = new Set<Socket>();
  #needle: Buffer | undefined;
  #times = 0;

  constructor(port: number) {
    this.#server = createServer({ noDelay: true }, (near) => {
      const far = createConnection({ host: "127.0.0.1", port, noDelay: true });
      let isDeaf = false;
      const cut = (): void => {
        near.destroy();
        far.destroy();
      };
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on("error", () => undefined);
        socket.once("close", () => {
          this.#sockets.delete(socket);
          cut();
        });
      }
      near.on("data", (bytes: Buffer) => {
        if (this.#isTheOne(bytes)) {
          isDeaf = true;
          this.lost += 1;
          setTimeout(cut, CUT_AFTER_MS);
        }
        far.write(bytes);
      });
      far.on("data", (bytes: Buffer) => {
        if (!isDeaf) near.write(bytes);
      });
    });
  }

  static async open(port: number): Promise<HalfDeaf> {
    const network = new HalfDeaf(port);
    await new Promise<void>((resolve) => network.#server.listen(0, "127.0.0.1", resolve));
    return network;
  }

  get address(): string {
    return `127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  /** The answer to the n-th question from now on that has these bytes in it is lost. */
  loseAnswerTo(text: string | Buffer, nth: number): void {
    this.#needle = typeof text === "string" ? Buffer.from(text) : text;
    this.#times = nth;
  }

  #isTheOne(bytes: Buffer): boolean {
    if (this.#needle === undefined || !bytes.includes(this.#needle)) return false;
    this.#times -= 1;
    if (this.#times > 0) return false;
    this.#needle = undefined;
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((closed) => this.#server.close(closed));
  }
}
