// Reading keys and writing on conditions, many at a time in one transaction of etcd's.

import type { Clock } from "../../lock/clock.js";
import type { KeyValue, Operation, OperationResult, Txn } from "./calls.js";
import type { Cluster } from "./cluster.js";
import { Lane } from "./lane.js";
import type { Limit } from "./limit.js";

// etcd takes 128 operations a transaction unless it is told otherwise, those inside counted.
const READS_A_TXN = 60;
const WRITES_A_TXN = 64;
// etcd takes 1.5 MiB a request unless it is told otherwise.
const BYTES_A_TXN = 512 * 1024;
const OPERATION_BYTES = 256; // more than anything in it but its value

export interface WriteResult {
  readonly isDone: boolean;
  /** The store's revision after it, which is that of what it wrote. */
  readonly revision: bigint;
  /** Under which leader. */
  readonly term: string;
  /** What the operations found that were carried out. */
  readonly results: readonly OperationResult[];
}

export class Transactions {
  readonly #cluster: Cluster;
  readonly #reads: Lane<readonly Buffer[], readonly (KeyValue | undefined)[]>;
  readonly #writes: Lane<Txn, WriteResult>;

  constructor(cluster: Cluster, clock: Clock) {
    this.#cluster = cluster;
    const options = { clock, mostBytes: BYTES_A_TXN };
    this.#reads = new Lane(
      { ...options, most: READS_A_TXN, bytesOf: (keys) => keys.length * OPERATION_BYTES },
      (questions, limit) => this.#sendReads(questions, limit),
    );
    this.#writes = new Lane({ ...options, most: WRITES_A_TXN, bytesOf: bytesOf }, (txns, limit) =>
      this.#sendWrites(txns, limit),
    );
  }

  /** One or two keys, as they are at one moment. @throws EtcdFault */
  read(keys: readonly Buffer[], limit: Limit): Promise<readonly (KeyValue | undefined)[]> {
    return this.#reads.ask(keys, limit);
  }

  /** At most once, and only if its comparisons hold. @throws EtcdFault */
  write(txn: Txn, limit: Limit): Promise<WriteResult> {
    return this.#writes.ask(txn, limit);
  }

  async #sendReads(
    questions: readonly (readonly Buffer[])[],
    limit: Limit,
  ): Promise<readonly (readonly (KeyValue | undefined)[])[]> {
    const success = questions.flat().map(rangeOf);
    const { responses } = await this.#cluster.ask("KV", "txn", { success }, limit);
    let at = 0;
    return questions.map((keys) => keys.map(() => foundIn(responses[at++])));
  }

  async #sendWrites(txns: readonly Txn[], limit: Limit): Promise<readonly WriteResult[]> {
    const [first] = txns;
    const isOne = txns.length === 1 && first !== undefined;
    const txn = isOne ? first : { success: txns.map((inner) => ({ request_txn: inner })) };
    const answer = await this.#cluster.once("KV", "txn", txn, limit);
    const inner = isOne ? [answer] : answer.responses.map((each) => each.response_txn);
    const { raft_term: term } = answer.header;
    const revision = BigInt(answer.header.revision);
    return inner.map(({ succeeded, responses }) => ({
      ...{ isDone: succeeded, revision, term, results: responses },
    }));
  }
}

/** Reads a key, inside a transaction. */
export function rangeOf(key: Buffer): Operation {
  return { request_range: { key } };
}

/** What such a read found. */
export function foundIn(result: OperationResult | undefined): KeyValue | undefined {
  return result?.response_range.kvs[0];
}

function bytesOf({ success = [], failure = [] }: Txn): number {
  let bytes = (success.length + failure.length) * OPERATION_BYTES;
  for (const { request_put: put } of success) bytes += put?.value?.length ?? 0;
  return bytes;
}
