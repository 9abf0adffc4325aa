import { EventEmitter } from "node:events";
import type { Http2Session, Http2Stream } from "node:http2";
import { describe, expect, it } from "vitest";
import { HeldBack } from "../../src/rpc/grpc/held-back.js";
import { BusyClock } from "../support/busy-clock.js";

/** A connection that never has nothing to say: it is stopped again as soon as it is read. */
class Connection {
  isRead = true;
  stoppedAtMs = -Infinity;
  longestMs = 0;
  reads = 0;
  readonly session: Http2Session;

  constructor(clock: BusyClock, heldBack: HeldBack, hasMore = true) {
    const reader = {
      readStop: () => {
        this.isRead = false;
        this.stoppedAtMs = clock.monotonicMs();
      },
      readStart: () => {
        this.isRead = true;
        this.reads += 1;
        this.longestMs = Math.max(this.longestMs, clock.monotonicMs() - this.stoppedAtMs);
        if (hasMore) {
          setImmediate(() => {
            heldBack.add(this.session);
          });
        }
      },
    };
    this.session = { destroyed: false, socket: { _handle: reader } } as unknown as Http2Session;
  }
}

function start(count: number, hasMore = true) {
  const clock = new BusyClock();
  const heldBack = new HeldBack(clock);
  const connections = Array.from({ length: count }, () => new Connection(clock, heldBack, hasMore));
  // A turn of the event loop that takes so long.
  const turns = async (number: number, ms: number): Promise<void> => {
    for (let turn = 0; turn < number; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.work(ms);
    }
  };
  return { clock, heldBack, connections, turns };
}

function stream(session: Http2Session): Http2Stream & EventEmitter {
  return Object.assign(new EventEmitter(), { session }) as unknown as Http2Stream & EventEmitter;
}

describe("connections that are held back", () => {
  it("are read one in every fourth turn, in the order in which they were stopped", async () => {
    const { heldBack, connections, turns } = start(3, false);
    for (const { session } of connections) heldBack.add(session);
    const read = () => connections.map(({ isRead }) => isRead);
    await turns(3, 1);
    expect(read()).toEqual([false, false, false]);
    await turns(1, 1);
    expect(read()).toEqual([true, false, false]);
    await turns(8, 1);
    expect(read()).toEqual([true, true, true]);
  });

  it("have all been read within some 64 turns, however many they are", async () => {
    const { heldBack, connections, turns } = start(1000);
    for (const { session } of connections) heldBack.add(session);
    await turns(400, 20);
    for (const { reads, longestMs } of connections) {
      expect(reads).toBeGreaterThan(3);
      expect(longestMs).toBeLessThanOrEqual(500 + 4 * 18 * 20);
    }
  });

  it("are read one in every fourth turn also when all are overdue: no turn is long for that", async () => {
    const { heldBack, connections, turns, clock } = start(8);
    for (const { session } of connections) heldBack.add(session);
    clock.work(10_000);
    for (let turn = 0; turn < 8; turn++) {
      const before = connections.reduce((sum, { reads }) => sum + reads, 0);
      await turns(1, 20);
      const read = connections.reduce((sum, { reads }) => sum + reads, 0) - before;
      expect(read).toBe(turn % 4 === 3 ? 1 : 0);
    }
  });

  it("are read after a tenth of a second where heartbeats come, until their streams are closed", async () => {
    const { heldBack, connections, turns } = start(50);
    const [holder] = connections;
    if (holder === undefined) throw new Error("no connection");
    const hold = stream(holder.session);
    heldBack.expectHeartbeats(hold);
    for (const { session } of connections) heldBack.add(session);
    await turns(100, 20);
    expect(holder.reads).toBeGreaterThan(10);
    expect(holder.longestMs).toBeLessThanOrEqual(100 + 5 * 20);
    hold.emit("close");
    await turns(20, 20);
    holder.longestMs = 0;
    await turns(100, 20);
    expect(holder.longestMs).toBeGreaterThan(400);
  });
});
