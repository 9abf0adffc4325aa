// Pairs through etcd's own lock service, with a lease for each worker or a fresh one for each lock.
//
//   node etcd.js '{"address": "127.0.0.1:2379", "connections": 8, "leaseFor": "lock", …}'

import { connect } from "node:http2";
import { grantLease, lock, revokeLease, unlock } from "../etcd-call.js";
import { measurePairs, type Pair, type PairsOrder } from "../pairs.js";

/** What to do. */
export interface EtcdOrder extends PairsOrder {
  readonly address: string;
  readonly connections: number;
  readonly leaseFor: "worker" | "lock";
}

const TTL_S = 60;

const order = JSON.parse(process.argv[2] ?? "{}") as EtcdOrder;
const sessions = Array.from({ length: order.connections }, () =>
  connect(`http://${order.address}`),
);
const report = await measurePairs(order, async (worker): Promise<Pair> => {
  const session = sessions[worker % sessions.length];
  if (session === undefined) throw new Error("at least one connection is needed");
  const name = `peers/${String(process.pid)}/${String(worker)}`;
  let lease = order.leaseFor === "worker" ? await grantLease(session, TTL_S) : "";
  let key = new Uint8Array();
  return {
    async acquire() {
      if (order.leaseFor === "lock") lease = await grantLease(session, TTL_S);
      key = new Uint8Array(await lock(session, name, lease));
    },
    // The end of a lease is the end of its lock: one call less.
    async release() {
      if (order.leaseFor === "lock") await revokeLease(session, lease);
      else await unlock(session, key);
    },
  };
});
for (const session of sessions) session.close();
process.stdout.write(`${JSON.stringify(report)}\n`);
