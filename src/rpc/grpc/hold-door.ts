// A Hold stream as it comes through grpc-js.
//
//   D1. The headers of the answer go out at once: some clients wait for them before they send.
//   D2. A holder that does not read is not buffered for without bound: nothing more is read from
//       it, only the newest ack is kept, and after two missed acks the stream ends.
//   D3. A holder that floods is read more slowly.
//   D4. What is over leaves the wire soon, even if the holder neither reads nor ends its side.
//   D5. Who opens a stream and says nothing does not keep it.

import type { ServerDuplexStream } from "@grpc/grpc-js";
import { Metadata } from "@grpc/grpc-js";
import { HoldRequestSchema, type HoldRequest } from "../../gen/stormlock/v1/lock_pb.js";
import { asLockError, LockError } from "../../lock/errors.js";
import { denialOf } from "../../lock/daemon/denial.js";
import { heartbeatPeriodMs, type DaemonSays, type HolderSays } from "../../lock/hold.js";
import { overloadedError, stoppingError } from "../../lock/refusals.js";
import type { HoldSession } from "../../lock/daemon/session.js";
import type { Admission } from "../admission.js";
import { holderSays } from "../hold-messages.js";
import type { HoldHub } from "../../lock/daemon/hold-hub.js";
import { framesOf } from "../hold-wire.js";
import { StreamAcquires } from "../stream-acquires.js";
import { receive, type Received } from "./definition.js";
import { widen } from "./hold-pipe.js";
import { failedStatus } from "./trailer.js";
import { cutOff } from "./watch.js";

// With so many questions open nothing more is read until half of them are answered (D3).
const MOST_BUSY = 1000;
const LOOK_AGAIN_MS = 5;

// D2: two periods, but neither a moment nor half a minute.
const SHORTEST_BLOCK_MS = 2000;

// D4: as long as a holder may take to read its last words.
const FAREWELL_MS = 2000;

// D5: longer than any client takes whose connection stands.
const FIRST_HEARTBEAT_MS = 30_000;

type Heard = Received<HoldRequest>;

export type HoldCall = ServerDuplexStream<Heard | readonly Heard[], readonly DaemonSays[]>;

export interface HoldDoorOptions {
  readonly hub: HoldHub;
  readonly admission: Admission;
  /** Told of every acquire that is refused before anything was done for it. */
  readonly onRefused: () => void;
}

/** Serves one stream to its end. */
export function serveHold(
  call: HoldCall,
  options: HoldDoorOptions,
  identity: string | undefined,
): void {
  new HoldStream(call, options, identity);
}

class HoldStream {
  readonly #call: HoldCall;
  readonly #hub: HoldHub;
  readonly #session: HoldSession;
  readonly #acquires: StreamAcquires;
  // What goes out when all that is to be said in this turn has been said.
  #out: DaemonSays[] = [];
  #held: DaemonSays[] = [];
  #isBlocked = false;
  #isOver = false;
  #stopBlocked: (() => void) | undefined;
  readonly #stopExpecting: () => void;

  constructor(
    call: HoldCall,
    { hub, admission, onRefused }: HoldDoorOptions,
    identity: string | undefined,
  ) {
    this.#call = call;
    this.#acquires = new StreamAcquires({
      admission,
      begin: (acquire) => {
        this.#pass(acquire);
      },
      refuse: ({ resource, leaseId }) => {
        onRefused();
        this.#say({ kind: "denied", resource, leaseId, ...denialOf(overloadedError()) });
      },
      isOver: () => this.#isOver,
    });
    this.#hub = hub;
    this.#session = hub.open(
      identity,
      (message) => {
        this.#say(message);
      },
      (withinMs) => {
        this.#fail(stoppingError(), withinMs);
      },
    );
    this.#stopExpecting = hub.clock.after(FIRST_HEARTBEAT_MS, () => {
      if (this.#session.hasBegun) return;
      const most = String(FIRST_HEARTBEAT_MS / 1000);
      this.#fail(new LockError("timed-out", `no heartbeat has come within ${most} s`));
    });
    widen<Heard, readonly DaemonSays[]>(call, readMessage, framesOf);
    call.sendMetadata(new Metadata()); // D1
    call.on("data", (heard: Heard | readonly Heard[]) => {
      if (Array.isArray(heard)) for (const each of heard as readonly Heard[]) this.#hear(each);
      else this.#hear(heard as Heard);
      if (this.#busy > MOST_BUSY) this.#slowDown();
    });
    call.on("drain", () => {
      this.#unblock();
    });
    call.once("end", () => {
      // The holder has said its last word: a stream that is over in both directions (N1 in session.ts).
      this.#close();
      call.end();
    });
    call.once("cancelled", () => {
      this.#close();
    });
    call.once("error", () => {
      this.#close();
    });
    call.once("close", () => {
      this.#close();
    });
  }

  #hear(heard: Heard): void {
    if (this.#isOver) return;
    try {
      if (heard instanceof LockError) throw heard;
      const says = holderSays(heard);
      if (says.kind === "acquire") {
        this.#acquires.enter(says);
        return;
      }
      if (says.kind === "release") this.#acquires.leave(says);
      this.#session.hear(says);
    } catch (thrown) {
      this.#fail(asLockError(thrown));
    }
  }

  // When its turn has come.
  #pass(acquire: HolderSays): void {
    try {
      this.#session.hear(acquire);
    } catch (thrown) {
      this.#fail(asLockError(thrown));
    }
  }

  get #busy(): number {
    return this.#session.busy + this.#acquires.waiting;
  }

  // D3
  #slowDown(): void {
    if (this.#call.isPaused()) return;
    this.#call.pause();
    const look = (): void => {
      if (this.#isOver) return;
      if (this.#busy > MOST_BUSY / 2) this.#hub.clock.after(LOOK_AGAIN_MS, look);
      else if (!this.#isBlocked) this.#call.resume();
    };
    this.#hub.clock.after(LOOK_AGAIN_MS, look);
  }

  #say(message: DaemonSays): void {
    if (this.#isOver) return;
    if (this.#isBlocked) {
      this.#hold(message);
      return;
    }
    this.#out.push(message);
    if (this.#out.length === 1) queueMicrotask(this.#flush);
  }

  readonly #flush = (): void => {
    const out = this.#out;
    if (out.length === 0) return;
    this.#out = [];
    if (this.#call.writableEnded || this.#call.destroyed) return;
    if (!this.#call.write(out) && !this.#isOver) this.#block();
  };

  // D2. What the holder must know is kept: there is no more of it than it has asked for. Of acks
  // only the newest matters, and a place in a queue will be told again.
  #hold(message: DaemonSays): void {
    if (message.kind === "queued") return;
    if (message.kind === "heartbeat-ack") {
      this.#held = this.#held.filter(({ kind }) => kind !== "heartbeat-ack");
    }
    this.#held.push(message);
  }

  #block(): void {
    this.#isBlocked = true;
    this.#call.pause();
    const periodMs = heartbeatPeriodMs(this.#session.smallestTtlMs);
    this.#stopBlocked = this.#hub.clock.after(Math.max(2 * periodMs, SHORTEST_BLOCK_MS), () => {
      this.#fail(new LockError("overloaded", "the holder does not read what it is told"));
    });
  }

  #unblock(): void {
    if (!this.#isBlocked) return;
    this.#isBlocked = false;
    this.#stopBlocked?.();
    this.#call.resume();
    for (const message of this.#held.splice(0)) this.#say(message);
  }

  #fail(error: LockError, farewellMs = FAREWELL_MS): void {
    if (this.#isOver) return;
    this.#close(farewellMs);
    this.#call.emit("error", failedStatus(error));
  }

  #close(farewellMs = FAREWELL_MS): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#flush();
    this.#stopBlocked?.();
    this.#stopExpecting();
    this.#hub.close(this.#session);
    this.#hub.clock.after(farewellMs, () => {
      cutOff(this.#call); // D4
    });
  }
}

function readMessage(bytes: Buffer): Heard {
  return receive(HoldRequestSchema, bytes) as Heard;
}
