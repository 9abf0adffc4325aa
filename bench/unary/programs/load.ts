// The load: pairs of acquire and release, so many in flight, over raw HTTP/2 frames, so that the
// client costs as little as it can on a machine that it shares with the server.
//
//   node load.js '{"address": "127.0.0.1:7420", "inFlight": 8, "connections": 8, "ms": 2000}'

import { connect } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  AcquireRequestSchema,
  ReleaseRequestSchema,
} from "../../../src/gen/stormlock/v1/lock_pb.js";
import { quantile } from "../../figures.js";
import { callFramed, frame } from "../../grpc-call.js";

/** What to do. */
export interface LoadOrder {
  readonly address: string;
  /** How many pairs are under way at any moment; each on a resource of its own. */
  readonly inFlight: number;
  readonly connections: number;
  /** How long to count for. */
  readonly ms: number;
  /** How long to go on before that, without counting. */
  readonly warmUpMs: number;
}

/** What came of it. */
export interface LoadReport {
  readonly pairsPerSecond: number;
  /** All that it did, the warm-up included. */
  readonly allPairs: number;
  /** Of one acquire, in milliseconds. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const ID_BYTES = 32;
const PLACEHOLDER = "0".repeat(ID_BYTES);
const PATH = "/stormlock.v1.LockService/";

/** A request whose lease id changes from call to call, the rest being encoded once. */
class Template {
  readonly #frame: Buffer;
  readonly #idAt: number;

  constructor(message: Uint8Array) {
    this.#frame = frame(message);
    this.#idAt = this.#frame.indexOf(PLACEHOLDER);
  }

  with(id: string): Buffer {
    const bytes = Buffer.from(this.#frame);
    bytes.write(id, this.#idAt, "latin1");
    return bytes;
  }
}

async function run(order: LoadOrder): Promise<LoadReport> {
  const { address, inFlight, connections, ms, warmUpMs } = order;
  const sessions = Array.from({ length: Math.min(connections, inFlight) }, () =>
    connect(`http://${address}`),
  );
  const startAtMs = performance.now() + warmUpMs;
  const endAtMs = startAtMs + ms;
  const times: number[] = [];
  let pairs = 0;
  let allPairs = 0;

  const work = async (worker: number): Promise<void> => {
    const session = sessions[worker % sessions.length];
    if (session === undefined) return;
    const resource = `bench/${String(process.pid)}/${String(worker)}`;
    const acquire = new Template(
      toBinary(
        AcquireRequestSchema,
        create(AcquireRequestSchema, {
          ...{ resource, leaseId: PLACEHOLDER, principal: "bench", ttl: durationFromMs(60_000) },
        }),
      ),
    );
    const release = new Template(
      toBinary(
        ReleaseRequestSchema,
        create(ReleaseRequestSchema, { resource, leaseId: PLACEHOLDER }),
      ),
    );
    const salt = `${process.pid.toString(16)}${worker.toString(16).padStart(4, "0")}`;
    for (let round = 0; ; round++) {
      const id = `${salt}${round.toString(16).padStart(ID_BYTES - salt.length, "0")}`;
      const beganAtMs = performance.now();
      if (beganAtMs >= endAtMs) return;
      await callFramed(session, `${PATH}Acquire`, acquire.with(id));
      const grantedAtMs = performance.now();
      await callFramed(session, `${PATH}Release`, release.with(id));
      const endedAtMs = performance.now();
      allPairs += 1;
      // By when they end: a pair may take longer than the warm-up, or than what is left at the end.
      if (endedAtMs < startAtMs || endedAtMs > endAtMs) continue;
      pairs += 1;
      times.push(grantedAtMs - beganAtMs);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, (_, worker) => work(worker)));
  for (const session of sessions) session.close();
  const [p50Ms, p99Ms] = [quantile(times, 0.5), quantile(times, 0.99)];
  return { pairsPerSecond: (pairs * 1000) / ms, allPairs, p50Ms, p99Ms };
}

const order = JSON.parse(process.argv[2] ?? "{}") as LoadOrder;
process.stdout.write(`${JSON.stringify(await run(order))}\n`);
