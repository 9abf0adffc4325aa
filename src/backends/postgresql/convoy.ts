// Questions of one kind that travel together. What is asked while an answer is awaited goes out
// when it has come: one statement, and one commit, for all of it. Commits take far longer than
// questions, and a connection makes one after the other in any case.

import { indexOf } from "./leases.js";
import type { Limit } from "./limit.js";
import type { Row } from "./session.js";

// As many as a call may bring.
const MOST_ASKS = 1000;

interface Traveller<Ask> {
  readonly asks: readonly Ask[];
  readonly limit: Limit;
  readonly tell: (rows: Promise<readonly (Row | undefined)[]>) => void;
}

export class Convoy<Ask> {
  readonly #send: (asks: readonly Ask[], limit: Limit) => Promise<readonly Row[]>;
  #waiting: Traveller<Ask>[] = [];
  #isUnderWay = false;

  /** @param send carries one statement's questions over */
  constructor(send: (asks: readonly Ask[], limit: Limit) => Promise<readonly Row[]>) {
    this.#send = send;
  }

  /**
   * @returns for each question its row, if there is one
   * @throws StoreFault, or an error of the driver's; others who travelled along hear the same
   */
  ask(asks: readonly Ask[], limit: Limit): Promise<readonly (Row | undefined)[]> {
    const told = new Promise<readonly (Row | undefined)[]>((tell) => {
      this.#waiting.push({ asks, limit, tell });
    });
    if (!this.#isUnderWay) void this.#go();
    return limit.within(told);
  }

  async #go(): Promise<void> {
    this.#isUnderWay = true;
    while (this.#waiting.length > 0) {
      const travellers = this.#next();
      const rows = this.#carry(travellers);
      let from = 0;
      for (const { asks, tell } of travellers) {
        const [begin, end] = [from, (from += asks.length)];
        tell(rows.then((all) => all.slice(begin, end)));
      }
      await rows.catch(() => undefined);
    }
    this.#isUnderWay = false;
  }

  #next(): readonly Traveller<Ask>[] {
    let count = 0;
    const fits = this.#waiting.findIndex(
      ({ asks }, index) => (count += asks.length) > MOST_ASKS && index > 0,
    );
    return this.#waiting.splice(0, fits === -1 ? this.#waiting.length : fits);
  }

  async #carry(travellers: readonly Traveller<Ask>[]): Promise<readonly (Row | undefined)[]> {
    const asks = travellers.flatMap((one) => one.asks);
    // The latest: who has little time left leaves alone, and takes no connection with him.
    const limit = travellers
      .map((one) => one.limit)
      .reduce((latest, one) => (one.leftMs > latest.leftMs ? one : latest));
    const found = new Array<Row | undefined>(asks.length).fill(undefined);
    for (const row of await this.#send(asks, limit)) found[indexOf(row)] = row;
    return found;
  }
}
