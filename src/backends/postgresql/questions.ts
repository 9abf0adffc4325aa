// One batch's way to its answers. Most are there after one statement; the rest is asked again.

import type { Failed } from "../../lock/backend.js";
import { SQL_STATE, sqlState, StoreFault } from "./faults.js";
import { indexOf } from "./leases.js";
import type { Limit } from "./limit.js";
import type { Lane } from "./lane.js";
import type { Row } from "./session.js";
import type { Patience, Statement, Statements } from "./statements.js";

/** What is asked, and how. */
export interface Questions<Ask, Answer> {
  readonly asks: readonly Ask[];
  readonly values: (asks: readonly Ask[]) => readonly unknown[];
  readonly statement: (statements: Statements) => Patience;
  readonly answer: (row: Row, ask: Ask) => Answer;
}

/** A batch under way. */
export class Batch<Ask, Answer> {
  readonly #questions: Questions<Ask, Answer>;
  readonly #limit: Limit;
  readonly #answers: (Answer | Failed | undefined)[];

  constructor(questions: Questions<Ask, Answer>, limit: Limit) {
    this.#questions = questions;
    this.#limit = limit;
    this.#answers = new Array<Answer | undefined>(questions.asks.length).fill(undefined);
  }

  get answers(): readonly (Answer | Failed | undefined)[] {
    return this.#answers;
  }

  /** The questions that no row has answered yet. */
  get open(): readonly Ask[] {
    return this.#questions.asks.filter((_ask, index) => this.#answers[index] === undefined);
  }

  /** Asks what is open, passing over rows that others have locked. */
  pass(lane: Lane): Promise<void> {
    return this.#ask(lane, (statements) => this.#questions.statement(statements).passing);
  }

  /**
   * Asks what is open, waiting for rows that others have locked. Where that takes too long, those
   * rows alone go without an answer.
   * @throws StoreFault "locked" with what can be answered being answered
   */
  async wait(lane: Lane): Promise<void> {
    try {
      await this.#ask(lane, (statements) => this.#questions.statement(statements).waiting);
    } catch (error) {
      if (sqlState(error) !== SQL_STATE.lockNotAvailable) throw error;
      await this.pass(lane);
      if (this.open.length > 0) throw new StoreFault({ kind: "locked" });
    }
  }

  async #ask(lane: Lane, choose: (statements: Statements) => Statement): Promise<void> {
    const { asks, values, answer } = this.#questions;
    const open = asks.flatMap((ask, index) =>
      this.#answers[index] === undefined ? [{ ask, index }] : [],
    );
    const { rows } = await lane.ask(choose, values(open.map(({ ask }) => ask)), this.#limit);
    for (const row of rows) {
      const asked = open[indexOf(row)];
      if (asked !== undefined) this.#answers[asked.index] = answer(row, asked.ask);
    }
  }

  /** Answers the open questions whose places among them are not in `others`. */
  answerAllBut(others: ReadonlySet<number>, answer: Answer): void {
    let place = 0;
    for (const [index, given] of this.#answers.entries()) {
      if (given === undefined && !others.has(place++)) this.#answers[index] = answer;
    }
  }

  /** Answers what is still open. */
  fill(answer: (ask: Ask) => Answer | Failed): readonly (Answer | Failed)[] {
    return this.#questions.asks.map((ask, index) => this.#answers[index] ?? answer(ask));
  }
}
