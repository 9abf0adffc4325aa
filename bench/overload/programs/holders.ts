// Programs that hold locks while others ask for more than there is: our own clients, each with a
// stream of its own. Says "held" when everything is, and what came of it when its input ends.
//
//   node holders.js '{"address": "127.0.0.1:7420", "streams": 25, "leases": 40, "ttlMs": 3000}'

import { once } from "node:events";
import { connect } from "../../../src/connect.js";
import type { Hold } from "../../../src/lock/holder/holding.js";
import { systemClock } from "../../../src/system-clock.js";

/** What to do. */
export interface HoldersOrder {
  readonly address: string;
  readonly streams: number;
  /** How many leases on each. */
  readonly leases: number;
  readonly ttlMs: number;
}

/** What came of it. */
export interface HoldersReport {
  readonly held: number;
  readonly lost: number;
  /** How often a lease went for half its ttl without a confirmation. */
  readonly late: number;
  /** What was left to a holder's deadline when a renewal came, at the least, as a share of the ttl. */
  readonly leastLeftShare: number;
}

async function run({ address, streams, leases, ttlMs }: HoldersOrder): Promise<HoldersReport> {
  const clients = Array.from({ length: streams }, () => connect({ servers: [address] }));
  const results = await Promise.all(
    clients.flatMap((client, stream) =>
      Array.from({ length: leases }, (_, at) =>
        client.hold(`held/${String(stream)}/${String(at)}`, { ttlMs }),
      ),
    ),
  );
  const seen = { lost: 0, late: 0, leastLeftMs: Infinity };
  const watch = (hold: Hold): void => {
    let { state, deadlineMs } = hold;
    hold.watch(() => {
      if (hold.state === "AT_RISK" && state !== "AT_RISK") seen.late += 1;
      if (hold.deadlineMs !== deadlineMs) {
        seen.leastLeftMs = Math.min(seen.leastLeftMs, deadlineMs - systemClock.monotonicMs());
      }
      ({ state, deadlineMs } = hold);
    });
    hold.signal.addEventListener("abort", () => (seen.lost += 1));
  };
  for (const result of results) {
    if (result.kind !== "granted") throw new Error(result.message);
    watch(result.hold);
  }
  process.stdout.write("held\n");
  process.stdin.resume();
  await once(process.stdin, "end");
  return {
    held: results.length,
    lost: seen.lost,
    late: seen.late,
    leastLeftShare: seen.leastLeftMs / ttlMs,
  };
}

const order = JSON.parse(process.argv[2] ?? "{}") as HoldersOrder;
const report = await run(order);
process.stdout.write(`${JSON.stringify(report)}\n`, () => {
  process.exit(); // What is held ends with its ttl: nobody waits for it.
});
