// Pairs of acquire and release over Hold streams, many in flight on each: what is answered
// together is answered together, with one heartbeat before the acquires, as the protocol wants.
//
//   node load.js '{"address": "127.0.0.1:7420", "streams": 8, "pairs": 64, "ms": 2000, "warmUpMs": 500}'

import { once } from "node:events";
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { quantile } from "../../figures.js";
import { Answers, heartbeat, HOLD_HEADERS, numberIn, SAYS, Words } from "../../hold-frames.js";

/** What to do. */
export interface StreamOrder {
  readonly address: string;
  /** How many streams, each over a connection of its own. */
  readonly streams: number;
  /** How many pairs are under way on each at any moment, each on a resource of its own. */
  readonly pairs: number;
  /** How long to count for. */
  readonly ms: number;
  /** How long to go on before that, without counting. */
  readonly warmUpMs: number;
}

/** What came of it. */
export interface StreamReport {
  readonly pairsPerSecond: number;
  /** All that it did, the warm-up included. */
  readonly allPairs: number;
  /** Of one acquire, in milliseconds. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const TTL_MS = 60_000;
/** How long after the end what is under way may take. */
const LAST_ANSWERS_MS = 5000;

class Streamer {
  readonly #stream: ClientHttp2Stream;
  readonly #words: Words[];
  readonly #askedAtMs: Float64Array;
  readonly #onGranted: (askedAtMs: number, nowMs: number) => void;
  readonly #onReleased: (nowMs: number) => boolean;
  #out: Buffer[] = [];
  #isAsking = false;
  #seq = 0;
  #underWay = 0;
  #nowMs = 0;

  constructor(
    session: ClientHttp2Session,
    words: Words[],
    onGranted: (askedAtMs: number, nowMs: number) => void,
    onReleased: (nowMs: number) => boolean,
  ) {
    this.#words = words;
    this.#askedAtMs = new Float64Array(words.length);
    this.#onGranted = onGranted;
    this.#onReleased = onReleased;
    this.#stream = session.request(HOLD_HEADERS);
    const answers = new Answers((says, message) => {
      this.#hear(says, message);
    });
    this.#stream.on("data", (chunk: Buffer) => {
      this.#nowMs = performance.now();
      answers.take(chunk);
      this.#flush();
    });
  }

  /** Asks for all; resolves when it asks no more and all is answered. */
  async run(): Promise<void> {
    const ended = once(this.#stream, "close").then(() => {
      throw new Error("the server has ended the stream");
    });
    this.#nowMs = performance.now();
    for (const number of this.#words.keys()) this.#acquire(number);
    this.#flush();
    await Promise.race([ended, new Promise<void>((resolve) => (this.#done = resolve))]);
    ended.catch(() => undefined);
    this.#stream.close();
  }

  #done: () => void = () => undefined;

  #hear(says: number, message: Buffer): void {
    switch (says) {
      case SAYS.granted: {
        const number = numberIn(says, message);
        this.#onGranted(this.#askedAtMs[number] ?? 0, this.#nowMs);
        this.#out.push(this.#words[number]?.release ?? Buffer.alloc(0));
        return;
      }
      case SAYS.released:
        this.#underWay -= 1;
        if (this.#onReleased(this.#nowMs)) this.#acquire(numberIn(says, message));
        else if (this.#underWay === 0) this.#done();
        return;
      case SAYS.ack:
      case SAYS.queued:
        return;
      default:
        this.#stream.destroy(new Error(`the server says ${message.toString("latin1")}`));
    }
  }

  #acquire(number: number): void {
    const words = this.#words[number];
    if (words === undefined) return;
    words.next();
    this.#underWay += 1;
    this.#askedAtMs[number] = this.#nowMs;
    this.#out.push(words.acquire);
    this.#isAsking = true;
  }

  #flush(): void {
    if (this.#out.length === 0) return;
    if (this.#isAsking) this.#out.unshift(heartbeat(++this.#seq));
    this.#isAsking = false;
    this.#stream.write(Buffer.concat(this.#out)); // copied: words change
    this.#out = [];
  }
}

async function run(order: StreamOrder): Promise<StreamReport> {
  const { address, streams, pairs, ms, warmUpMs } = order;
  const sessions = Array.from({ length: streams }, () => connect(`http://${address}`));
  const startAtMs = performance.now() + warmUpMs;
  const endAtMs = startAtMs + ms;
  const times: number[] = [];
  let pairsDone = 0;
  let counted = 0;
  const onGranted = (askedAtMs: number, nowMs: number): void => {
    if (askedAtMs >= startAtMs && nowMs <= endAtMs) times.push(nowMs - askedAtMs);
  };
  const onReleased = (nowMs: number): boolean => {
    pairsDone += 1;
    if (nowMs >= startAtMs && nowMs <= endAtMs) counted += 1;
    return nowMs < endAtMs;
  };
  const overdue = setTimeout(
    () => {
      throw new Error("the server has not answered everything in time");
    },
    warmUpMs + ms + LAST_ANSWERS_MS,
  );
  await Promise.all(
    sessions.map((session, index) => {
      const salt = `${process.pid.toString(16)}s${String(index)}`;
      const words = Array.from({ length: pairs }, (_, number) => new Words(salt, number, TTL_MS));
      return new Streamer(session, words, onGranted, onReleased).run();
    }),
  );
  clearTimeout(overdue);
  for (const session of sessions) session.destroy();
  return {
    ...{ pairsPerSecond: (counted * 1000) / ms, allPairs: pairsDone },
    ...{ p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99) },
  };
}

const order = JSON.parse(process.argv[2] ?? "{}") as StreamOrder;
process.stdout.write(`${JSON.stringify(await run(order))}\n`);
