// One batch's way to its answers. Most are there after one statement; the rest is asked again.

import type { Failed } from "../../lock/backend.js";
import { Convoy } from "./convoy.js";
import { SQL_STATE, sqlState, StoreFault } from "./faults.js";
import type { Lane } from "./lane.js";
import type { Kind } from "./leases.js";
import type { Limit } from "./limit.js";
import type { Row } from "./session.js";
import type { Patience } from "./statements.js";

/** How questions of one kind are asked, by all who have some. */
export class Way<Ask, Answer> {
  readonly answer: (row: Row, ask: Ask) => Answer;
  /** Passes over rows that others have locked. */
  readonly passing: Convoy<Ask>;
  /** Waits for them. */
  readonly waiting: Convoy<Ask>;

  constructor({ values, statement, answer }: Kind<Ask, Answer>, lane: Lane, patient: Lane) {
    const convoy = (one: Lane, patience: keyof Patience): Convoy<Ask> =>
      new Convoy(async (asks, limit) => {
        const { rows } = await one.ask((all) => statement(all)[patience], values(asks), limit);
        return rows;
      });
    this.answer = answer;
    this.passing = convoy(lane, "passing");
    this.waiting = convoy(patient, "waiting");
  }
}

/** A batch under way. */
export class Batch<Ask, Answer> {
  readonly #asks: readonly Ask[];
  readonly #way: Way<Ask, Answer>;
  readonly #limit: Limit;
  readonly #answers: (Answer | undefined)[];

  constructor(asks: readonly Ask[], way: Way<Ask, Answer>, limit: Limit) {
    this.#asks = asks;
    this.#way = way;
    this.#limit = limit;
    this.#answers = new Array<Answer | undefined>(asks.length).fill(undefined);
  }

  /** The questions that no row has answered yet. */
  get open(): readonly Ask[] {
    return this.#asks.filter((_ask, index) => this.#answers[index] === undefined);
  }

  /** Asks what is open, passing over rows that others have locked. */
  pass(): Promise<void> {
    return this.#ask(this.#way.passing);
  }

  /**
   * Asks what is open, waiting for rows that others have locked. Where that takes too long, those
   * rows alone go without an answer.
   * @throws StoreFault "locked" with what can be answered being answered
   */
  async wait(): Promise<void> {
    try {
      await this.#ask(this.#way.waiting);
    } catch (error) {
      if (sqlState(error) !== SQL_STATE.lockNotAvailable) throw error;
      await this.pass();
      if (this.open.length > 0) throw new StoreFault({ kind: "locked" });
    }
  }

  async #ask(convoy: Convoy<Ask>): Promise<void> {
    const { open } = this;
    const rows = await convoy.ask(open, this.#limit);
    this.#fillOpen((place) => {
      const [row, ask] = [rows[place], open[place]];
      return row && ask && this.#way.answer(row, ask);
    });
  }

  /** Answers the open questions, in their order. */
  answerOpen(answers: readonly Answer[]): void {
    this.#fillOpen((place) => answers[place]);
  }

  /** Answers the open questions whose places among them are not in `others`. */
  answerAllBut(others: ReadonlySet<number>, answer: Answer): void {
    this.#fillOpen((place) => (others.has(place) ? undefined : answer));
  }

  #fillOpen(answer: (place: number) => Answer | undefined): void {
    let place = 0;
    for (const [index, given] of this.#answers.entries()) {
      this.#answers[index] = given ?? answer(place++);
    }
  }

  /** All answers, with one for what is still open. */
  fill(answer: () => Answer | Failed): readonly (Answer | Failed)[] {
    return this.#answers.map((given) => given ?? answer());
  }
}
