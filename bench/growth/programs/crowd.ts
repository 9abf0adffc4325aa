// Those who are there already: leases that are held on streams or have been left behind, or
// callers that wait for what others hold. Says when all of them are there, and stays until it is
// ended.
//
//   node crowd.js '{"address": "127.0.0.1:7420", "what": "held", "from": 0, "to": 1000, …}'

import { connect, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { fromBinary } from "@bufbuild/protobuf";
import { HoldResponseSchema } from "../../../src/gen/stormlock/v1/lock_pb.js";
import { Answers, heartbeat, HOLD_HEADERS, SAYS, Words } from "../../hold-frames.js";

/** What there shall be. */
export interface CrowdOrder {
  readonly address: string;
  /** Held: on streams that are open. Left: on streams that have ended. Waiting: for 100 resources. */
  readonly what: "held" | "left" | "waiting";
  /** How many there are already, and how many there shall be. */
  readonly from: number;
  readonly to: number;
  /** How long it may take, and stay, at the most. */
  readonly withinMs: number;
}

const STREAMS_PER_CONNECTION = 100;
const LEASES_PER_STREAM = 1000;
/** What those who wait wait for. */
const AWAITED = 100;
const TTL_MS = 600_000;
const SALT = "crowd";
const LAST_SEQ = 2n;

const order = JSON.parse(process.argv[2] ?? "{}") as CrowdOrder;
const { address, what, from, to } = order;
const sessions: ClientHttp2Session[] = [];
let streams = 0;

function fail(error: Error): never {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

setTimeout(() => {
  fail(new Error(`not done, or not ended, after ${String(order.withinMs)} ms`));
}, order.withinMs);

// Opens a stream, says all of this on it, and resolves when each has its lease, or, of those who
// have to wait, when all have been heard: the heartbeat behind them is acknowledged then.
function say(frames: readonly Buffer[], until: "granted" | "heard"): Promise<ClientHttp2Stream> {
  return new Promise((resolve) => {
    if (streams++ % STREAMS_PER_CONNECTION === 0) {
      sessions.push(connect(`http://${address}`).on("error", fail));
    }
    const stream = sessions.at(-1)?.request(HOLD_HEADERS);
    if (stream === undefined) return;
    let missing = frames.length;
    const answers = new Answers((says, message) => {
      if (says === SAYS.denied || says === SAYS.lost) fail(new Error("a lease was refused"));
      const isHeard = until === "heard" && says === SAYS.ack && seqOf(message) === LAST_SEQ;
      const isGranted = until === "granted" && says === SAYS.granted;
      if (isHeard || (isGranted && --missing === 0)) resolve(stream);
    });
    stream.on("data", (chunk: Buffer) => {
      answers.take(chunk);
    });
    stream.on("error", fail);
    stream.write(Buffer.concat([heartbeat(1), ...frames, heartbeat(Number(LAST_SEQ))]));
  });
}

function seqOf(message: Buffer): bigint | undefined {
  const { kind } = fromBinary(HoldResponseSchema, message);
  return kind.case === "heartbeatAck" ? kind.value.seq : undefined;
}

async function hold(): Promise<void> {
  for (let at = from; at < to; at += LEASES_PER_STREAM) {
    const count = Math.min(LEASES_PER_STREAM, to - at);
    const frames = Array.from({ length: count }, (_, n) => new Words(SALT, at + n, TTL_MS).acquire);
    const stream = await say(frames, "granted");
    if (what === "left") stream.end();
  }
}

async function wait(): Promise<void> {
  const words = Array.from({ length: AWAITED }, (_, n) => new Words(SALT, n, TTL_MS));
  // Whoever comes after the first has a lease id of its own.
  const next = (): Buffer[] =>
    words.map((one) => {
      one.next();
      return Buffer.from(one.acquire);
    });
  if (from === 0) await say(next(), "granted");
  for (let at = 0; at < from; at += AWAITED) next();
  if (from > 0) next();
  for (let at = from; at < to; at += AWAITED) await say(next(), "heard");
}

await (what === "waiting" ? wait() : hold());
process.stdout.write("ready\n");
if (what === "left") {
  for (const session of sessions) session.close();
  process.exitCode = 0;
  setTimeout(() => process.exit(0), 500);
}
