import type { Socket } from "node:net";
import type { Clock } from "../lock/clock.js";

// Every HTTP/2 connection opens with `PRI * HTTP/2.0`, and no HTTP/1.1 request can: its first
// three bytes tell.
const PREFACE_START = Buffer.from("PRI");

// A client that connects has something to say.
const SILENCE_MS = 10_000;

// How many may be silent at the same time.
const MOST_SILENT = 1000;

export interface Doors {
  readonly http2: () => void;
  readonly http1: () => void;
}

/** Looks at the first bytes of connections, and sends each to the door where it belongs. */
export class Peeker {
  readonly #clock: Clock;
  // In the order of their arrival.
  readonly #silent = new Set<Socket>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  take(socket: Socket, doors: Doors): void {
    this.#makeRoom();
    this.#silent.add(socket);
    const stopWaiting = this.#clock.after(SILENCE_MS, () => socket.destroy());
    const end = (): void => {
      stopWaiting();
      this.#silent.delete(socket);
      socket.off("readable", look);
      socket.off("close", end);
    };
    let start = Buffer.alloc(0);
    const look = (): void => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      start = Buffer.concat([start, chunk]);
      const known = Math.min(start.length, PREFACE_START.length);
      const isHttp2 = start.subarray(0, known).equals(PREFACE_START.subarray(0, known));
      if (isHttp2 && known < PREFACE_START.length) return;
      end();
      socket.unshift(start);
      if (isHttp2) doors.http2();
      else doors.http1();
    };
    socket.on("readable", look);
    socket.once("close", end);
  }

  // Whoever floods us with silent connections loses those that were silent longest, and a
  // client that speaks at once is let through.
  #makeRoom(): void {
    if (this.#silent.size < MOST_SILENT) return;
    for (const oldest of this.#silent) {
      this.#silent.delete(oldest);
      oldest.destroy();
      return;
    }
  }
}
