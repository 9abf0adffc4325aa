import {
  createConnection,
  createServer,
  type AddressInfo,
  type Server,
  type Socket,
} from "node:net";

/** How bytes pass: at once, late, a few at a time, or not at all. */
export type Passing =
  | { readonly kind: "free" }
  | { readonly kind: "late"; readonly byMs: number }
  | { readonly kind: "drip"; readonly bytes: number; readonly everyMs: number }
  | { readonly kind: "frozen" };

/** From the client to the daemon, or back. */
export type Direction = "up" | "down";

const FREE: Passing = { kind: "free" };
const FROZEN: Passing = { kind: "frozen" };

/** A network between a client and a daemon, for a test to spoil. */
export class Proxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #links = new Set<Link>();
  /** How bytes pass on connections from now on, and on those that are made later. */
  readonly #passing: Record<Direction, Passing> = { up: FREE, down: FREE };
  /** How many connections were ever made. */
  connections = 0;

  private constructor(target: string) {
    const colon = target.lastIndexOf(":");
    const to = { host: target.slice(0, colon), port: Number(target.slice(colon + 1)) };
    this.#server = createServer({ noDelay: true }, (near) => {
      this.connections += 1;
      const far = createConnection({ ...to, noDelay: true });
      const link = new Link(near, far, this.#passing);
      this.#links.add(link);
      link.onClose = () => this.#links.delete(link);
    });
  }

  static async open(target: string): Promise<Proxy> {
    const proxy = new Proxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  /** When the last bytes of a client were passed on to the daemon, by `performance.now()`. */
  get lastUpMs(): number {
    return Math.max(-Infinity, ...[...this.#links].map(({ lastUpMs }) => lastUpMs));
  }

  /** How bytes pass from now on, in both directions unless one is named. */
  pass(passing: Passing, direction?: Direction): void {
    for (const each of towards(direction)) this.#passing[each] = passing;
    for (const link of this.#links) link.pass(passing, direction);
  }

  /** No byte passes any more, in either direction, and nobody is told. */
  freeze(): void {
    this.pass(FROZEN);
  }

  /** The connections that are open freeze; those that are made from now on are free. */
  freezeOpen(): void {
    for (const link of this.#links) link.pass(FROZEN);
  }

  /** Ends every connection that is open. */
  cut(): void {
    for (const link of this.#links) link.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    return new Promise((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
  }
}

const towards = (direction?: Direction): readonly Direction[] =>
  direction === undefined ? ["up", "down"] : [direction];

class Link {
  onClose: () => void = () => undefined;
  lastUpMs = -Infinity;
  readonly #sockets: readonly Socket[];
  readonly #lanes: Readonly<Record<Direction, Lane>>;

  constructor(near: Socket, far: Socket, passing: Readonly<Record<Direction, Passing>>) {
    this.#sockets = [near, far];
    const up = new Lane(far, passing.up, () => (this.lastUpMs = performance.now()));
    const down = new Lane(near, passing.down, () => undefined);
    this.#lanes = { up, down };
    near.on("data", (bytes: Buffer) => {
      up.take(bytes);
    });
    far.on("data", (bytes: Buffer) => {
      down.take(bytes);
    });
    for (const [socket, lane] of [
      [near, up],
      [far, down],
    ] as const) {
      socket.on("error", () => undefined);
      socket.once("close", () => {
        // A frozen network does not tell of ends either.
        if (!lane.isFrozen) this.close();
      });
    }
  }

  pass(passing: Passing, direction?: Direction): void {
    for (const each of towards(direction)) this.#lanes[each].pass(passing);
  }

  close(): void {
    for (const each of towards()) this.#lanes[each].stop();
    for (const socket of this.#sockets) socket.destroy();
    this.onClose();
  }
}

/** One direction. */
class Lane {
  readonly #to: Socket;
  readonly #onPassed: () => void;
  #passing: Passing;
  #queue: Buffer[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(to: Socket, passing: Passing, onPassed: () => void) {
    this.#to = to;
    this.#passing = passing;
    this.#onPassed = onPassed;
  }

  get isFrozen(): boolean {
    return this.#passing.kind === "frozen";
  }

  take(bytes: Buffer): void {
    this.#queue.push(bytes);
    this.#run();
  }

  pass(passing: Passing): void {
    this.#passing = passing;
    this.stop();
    this.#run();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #run(): void {
    const passing = this.#passing;
    switch (passing.kind) {
      case "free":
        this.#forward(this.#queue.splice(0));
        return;
      case "late": {
        const late = this.#queue.splice(0);
        setTimeout(() => {
          this.#forward(late);
        }, passing.byMs);
        return;
      }
      case "drip":
        this.#drip(passing.bytes, passing.everyMs);
        return;
      case "frozen":
        return;
    }
  }

  #drip(bytes: number, everyMs: number): void {
    if (this.#timer !== undefined || this.#queue.length === 0) return;
    const all = Buffer.concat(this.#queue);
    this.#queue = all.length > bytes ? [all.subarray(bytes)] : [];
    this.#forward([all.subarray(0, bytes)]);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#run();
    }, everyMs);
  }

  #forward(pieces: readonly Buffer[]): void {
    for (const bytes of pieces) {
      if (this.#to.destroyed) return;
      this.#to.write(bytes);
      this.#onPassed();
    }
  }
}
