// Holders of very many leases: streams that keep what they hold, and nothing else. Tells what they
// have heard, and what the daemon needed meanwhile, in a window that begins when everything is held
// and a whole period has passed.
//
//   node load.js '{"address": "127.0.0.1:7420", "pid": 1, "streams": 100, "leases": 1000, …}'

import { connect, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { quantile } from "../../figures.js";
import { Answers, heartbeat, HOLD_HEADERS, SAYS, Words } from "../../hold-frames.js";
import { Ledger } from "../ledger.js";
import { usageOf } from "../../usage.js";

/** What to do. */
export interface HeldOrder {
  readonly address: string;
  /** The daemon's process. */
  readonly pid: number;
  /** The embedded store's file. */
  readonly store: string;
  readonly streams: number;
  /** How many leases on each. */
  readonly leases: number;
  readonly ttlMs: number;
  /** How long to look on. */
  readonly windowMs: number;
}

/** What came of it. */
export interface HeldReport {
  /** How long it took until all were held. */
  readonly acquiredMs: number;
  /** From a heartbeat to its answer, in the window. */
  readonly ackP50Ms: number;
  readonly ackP99Ms: number;
  readonly ackMostMs: number;
  readonly heartbeats: number;
  /** Leases that an answer has called behind, heartbeats that had no answer when the next was due,
   *  and leases that are no longer held. */
  readonly behind: number;
  readonly unanswered: number;
  readonly lost: number;
  /** The daemon's, in the window: its memory at the end, and its processor time in all. */
  readonly rssBytes: number;
  readonly cpuMs: number;
  /** Written to the store in the window. */
  readonly renewals: number;
  readonly transactions: number;
  /** How long the window was. */
  readonly windowMs: number;
}

const STREAMS_PER_CONNECTION = 100;
const HELD_WITHIN_MS = 90_000;
/** How many streams are opened, or leases asked for, before the answers to some have come. */
const OPENING = 2000;
const TICK_MS = 20;

interface Counts {
  granted: number;
  acks: number[];
  behind: number;
  unanswered: number;
  lost: number;
  heartbeats: number;
}

class Holder {
  readonly #stream: ClientHttp2Stream;
  readonly #counts: Counts;
  #seq = 0;
  #sentAtMs: number | undefined;
  #toGrant = 0;
  #onHeld: () => void = () => undefined;

  constructor(session: ClientHttp2Session, counts: Counts) {
    this.#counts = counts;
    this.#stream = session.request(HOLD_HEADERS);
    const answers = new Answers((says, message) => {
      this.#hear(says, message);
    });
    this.#stream.on("data", (chunk: Buffer) => {
      answers.take(chunk);
    });
    this.#stream.on("error", () => undefined);
    this.#stream.once("close", () => {
      this.#counts.lost += 1; // with all that it holds
    });
  }

  /** Asks for leases; resolves when all are granted. */
  hold(salt: string, leases: number, ttlMs: number): Promise<void> {
    this.#toGrant = leases;
    const frames = [heartbeat(++this.#seq)];
    for (let number = 0; number < leases; number++) {
      frames.push(new Words(salt, number, ttlMs).acquire);
    }
    this.#stream.write(Buffer.concat(frames));
    return new Promise((resolve) => (this.#onHeld = resolve));
  }

  beat(): void {
    if (this.#sentAtMs !== undefined) this.#counts.unanswered += 1;
    this.#sentAtMs = performance.now();
    this.#counts.heartbeats += 1;
    this.#stream.write(heartbeat(++this.#seq));
  }

  #hear(says: number, message: Buffer): void {
    switch (says) {
      case SAYS.granted:
        this.#counts.granted += 1;
        this.#toGrant -= 1;
        if (this.#toGrant === 0) this.#onHeld();
        return;
      case SAYS.ack:
        this.#counts.behind += behindIn(message);
        if (this.#sentAtMs === undefined) return;
        this.#counts.acks.push(performance.now() - this.#sentAtMs);
        this.#sentAtMs = undefined;
        return;
      case SAYS.queued:
        return;
      default:
        this.#counts.lost += 1;
    }
  }
}

// How many leases an ack calls behind: the fields of number 3 in it.
function behindIn(message: Buffer): number {
  let count = 0;
  let at = 1;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = message[at++] ?? 0;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  varint();
  while (at < message.length) {
    const tag = varint();
    if (tag >> 3 === 3) count += 1;
    if ((tag & 7) === 0) varint();
    else if ((tag & 7) === 1) at += 8;
    else at += varint();
  }
  return count;
}

async function run(order: HeldOrder): Promise<HeldReport> {
  const { address, pid, streams, leases, ttlMs, windowMs } = order;
  using ledger = await Ledger.open(order.store);
  const counts: Counts = {
    ...{ granted: 0, acks: [], behind: 0, unanswered: 0, lost: 0, heartbeats: 0 },
  };
  const beganAtMs = performance.now();
  const overdue = setTimeout(() => {
    throw new Error(
      `after ${String(HELD_WITHIN_MS)} ms ${String(counts.granted)} leases are held, ${String(counts.lost)} refused`,
    );
  }, HELD_WITHIN_MS);
  const holders: Holder[] = [];
  let session: ClientHttp2Session | undefined;
  let opening: Promise<void>[] = [];
  const periodMs = ttlMs / 3;
  // Everybody has begun at some time of his own: beats are spread over the period.
  let isBeating = true;
  let beaten = 0;
  const beatingSinceMs = performance.now();
  const beat = (): void => {
    if (!isBeating) return;
    const dueMs = ((performance.now() - beatingSinceMs) / periodMs) * streams;
    for (; beaten < dueMs; beaten++) holders[beaten % streams]?.beat();
    setTimeout(beat, TICK_MS);
  };
  beat();
  for (let index = 0; index < streams; index++) {
    if (index % STREAMS_PER_CONNECTION === 0) session = connect(`http://${address}`);
    if (session === undefined) continue;
    const holder = new Holder(session, counts);
    holders.push(holder);
    opening.push(holder.hold(`${process.pid.toString(16)}s${index.toString(16)}`, leases, ttlMs));
    if (opening.length * leases < OPENING) continue;
    await Promise.all(opening);
    opening = [];
  }
  await Promise.all(opening);
  clearTimeout(overdue);
  const acquiredMs = performance.now() - beganAtMs;
  await sleep(periodMs);
  Object.assign(counts, { acks: [], behind: 0, unanswered: 0, heartbeats: 0 });
  const before = { ...(await usageOf(pid)), ...ledger.read() };
  const windowAtMs = performance.now();
  await sleep(windowMs);
  const after = { ...(await usageOf(pid)), ...ledger.read() };
  isBeating = false;
  return {
    ...{ acquiredMs, heartbeats: counts.heartbeats, behind: counts.behind },
    ...{ unanswered: counts.unanswered, lost: counts.lost },
    ...{ ackP50Ms: quantile(counts.acks, 0.5), ackP99Ms: quantile(counts.acks, 0.99) },
    ackMostMs: quantile(counts.acks, 1),
    ...{ rssBytes: after.rssBytes, cpuMs: after.cpuMs - before.cpuMs },
    renewals: after.renewals - before.renewals,
    transactions: after.transactions - before.transactions,
    windowMs: performance.now() - windowAtMs,
  };
}

const order = JSON.parse(process.argv[2] ?? "{}") as HeldOrder;
process.stdout.write(`${JSON.stringify(await run(order))}\n`, () => process.exit(0));
