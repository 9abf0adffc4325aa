// What is remembered of resources that nobody has asked for in a long time goes, a few at a time
// with the new ones that come. Tokens do not need it: they are etcd's own revisions.

import type { Clock } from "../../lock/clock.js";
import type { KeyValue, Txn } from "./calls.js";
import type { Cluster } from "./cluster.js";
import type { Keys } from "./keys.js";
import type { Limit } from "./limit.js";
import { lastRow } from "./rows.js";
import type { Transactions } from "./transactions.js";

// One step for so many grants, of twice as many rows: it comes round before their number doubles.
const GRANTS_A_STEP = 32;
const ROWS_A_GRANT = 2;
const MOST_ROWS_A_STEP = 2000;

export class Pruning {
  readonly #cluster: Cluster;
  readonly #transactions: Transactions;
  readonly #keys: Keys;
  readonly #clock: Clock;
  #isAtWork = false;

  constructor(cluster: Cluster, transactions: Transactions, keys: Keys, clock: Clock) {
    this.#cluster = cluster;
    this.#transactions = transactions;
    this.#keys = keys;
    this.#clock = clock;
  }

  /**
   * So many were granted: perhaps does its share. By chance, since a command that grants one lock
   * and ends has nothing to count with. Never rejects: what fails is done by the next.
   */
  async after(grants: number, limit: Limit): Promise<void> {
    if (this.#isAtWork || Math.random() >= grants / GRANTS_A_STEP) return;
    this.#isAtWork = true;
    const rows = Math.min(MOST_ROWS_A_STEP, Math.max(grants, GRANTS_A_STEP) * ROWS_A_GRANT);
    await this.step(rows, limit).catch(() => undefined);
    this.#isAtWork = false;
  }

  /** Looks at so many, where the last step has ended. @throws EtcdFault */
  async step(rows: number, limit: Limit): Promise<void> {
    const { swept } = this.#keys;
    const [mark] = await this.#transactions.read([swept], limit);
    const after = mark?.value.toString();
    const range = { ...this.#keys.lastRange(after === "" ? undefined : after), limit: rows };
    const { kvs, more } = await this.#cluster.ask("KV", "range", range, limit);
    const nowMs = this.#clock.wallMs();
    const writes = kvs.filter((found) => isOld(found, nowMs)).map((found) => this.#forget(found));
    const last = kvs.at(-1);
    const next = more && last !== undefined ? this.#keys.lastResource(last.key) : "";
    const value = Buffer.from(next);
    writes.push({ success: [{ request_put: { key: swept, value } }] });
    await Promise.all(writes.map((txn) => this.#transactions.write(txn, limit)));
  }

  // Unless it is held, or was asked for since.
  #forget({ key, mod_revision }: KeyValue): Txn {
    const held = this.#keys.held(this.#keys.lastResource(key));
    return {
      compare: [
        { key: held, target: "Create", result: "Equal", create_revision: "0" },
        { key, target: "Mod", result: "Equal", mod_revision },
      ],
      success: [{ request_delete_range: { key } }],
    };
  }
}

// What another program has put there stays, and nobody stops in front of it.
function isOld(found: KeyValue, nowMs: number): boolean {
  try {
    return (lastRow(found)?.keptUntilMs ?? Infinity) < nowMs;
  } catch {
    return false;
  }
}
