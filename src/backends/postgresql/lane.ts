import { StoreFault } from "./faults.js";
import type { Limit } from "./limit.js";
import type { Answer, Session } from "./session.js";
import type { Statement, Statements } from "./statements.js";

/** A connection that can be asked, and what to ask on it. */
export interface Ready {
  readonly session: Session;
  readonly statements: Statements;
  readonly channel: string;
}

export type Connector = (limit: Limit) => Promise<Ready>;

/** One connection at a time, made when it is needed and made anew when it is lost. */
export class Lane implements AsyncDisposable {
  readonly #connector: Connector;
  #ready: Ready | undefined;
  #opening: Promise<Ready> | undefined;
  #isClosed = false;

  constructor(connector: Connector) {
    this.#connector = connector;
  }

  /** The server's process that answers here. */
  get processId(): number | undefined {
    return this.#ready?.session.processId;
  }

  /**
   * Asks, connecting first if need be. What has been asked together is sent together.
   * @throws StoreFault, or an error of the driver's
   */
  async ask(
    choose: (statements: Statements) => Statement,
    values: readonly unknown[],
    limit: Limit,
  ): Promise<Answer> {
    const { session, statements } = this.#usable ?? (await this.connected(limit));
    return session.ask(choose(statements), values, limit);
  }

  get #usable(): Ready | undefined {
    return this.#ready?.session.isUsable === true ? this.#ready : undefined;
  }

  /** The connection, made if need be. All who want it share one attempt. */
  async connected(limit: Limit): Promise<Ready> {
    if (this.#opening !== undefined) {
      // It may have begun when the server was still out of reach: its failure says nothing of now.
      const ready = await limit.within(this.#opening.catch(() => undefined));
      if (ready !== undefined) return ready;
    }
    if (this.#isClosed) throw new StoreFault({ kind: "closed" });
    const usable = this.#usable;
    if (usable !== undefined) return usable;
    this.#opening ??= this.#open(limit).finally(() => {
      this.#opening = undefined;
    });
    return limit.within(this.#opening);
  }

  async #open(limit: Limit): Promise<Ready> {
    const ready = await this.#connector(limit);
    if (this.#isClosed) {
      await ready.session[Symbol.asyncDispose]();
      throw new StoreFault({ kind: "closed" });
    }
    this.#ready = ready;
    return ready;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#opening?.catch(() => undefined);
    await this.#ready?.session[Symbol.asyncDispose]();
  }
}
