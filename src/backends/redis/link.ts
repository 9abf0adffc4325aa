// The connection to the server that has the locks, made when it is needed.
//
//   L1. Every question settles within the time limit. One that does not be answered in time
//       costs the connection: it may be one that leads nowhere any more.
//   L2. Nothing is queued and nothing is sent twice, but for what a server has refused undone.
//   L3. A connection that was lost is made anew by the next question; questions that come
//       meanwhile wait for the same attempt, and fail with it.

import type { Clock } from "../../lock/clock.js";
import { formatDuration } from "../../lock/duration.js";
import { parseEndpoint, placeOf, type Endpoint } from "./address.js";
import { connect, type Access, type Client } from "./driver.js";
import { explain, isUndone, movedTo, StoreFault } from "./faults.js";
import { inspect, type Expectations } from "./inspection.js";

export interface LinkOptions {
  readonly access: Access;
  readonly expected: Expectations;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

// A cluster that has settled needs one.
const MOST_MOVES = 5;

export class Link implements AsyncDisposable {
  readonly #options: LinkOptions;
  readonly #place: string;
  readonly #closing = new AbortController();
  readonly #underWay = new Set<Promise<unknown>>();
  #client: Client | undefined;
  #connecting: Promise<Client> | undefined;
  // The node of a cluster that had the locks when last seen.
  #lastSeen: Endpoint | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#place = placeOf(options.access.address);
  }

  /**
   * Asks, connecting first where needed.
   * @throws LockError "unavailable"
   */
  async ask<T>(question: (client: Client) => Promise<T>): Promise<T> {
    const asking = this.#inTime(question);
    this.#underWay.add(asking);
    try {
      return await asking;
    } catch (error) {
      throw explain(error, this.#place);
    } finally {
      this.#underWay.delete(asking);
    }
  }

  /** Lets what is under way come to its end, which the time limit sees to. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new StoreFault("closed"));
    await Promise.allSettled(this.#underWay);
    await Promise.allSettled([this.#connecting]);
    this.#drop(this.#client);
  }

  async #inTime<T>(question: (client: Client) => Promise<T>): Promise<T> {
    const closed = this.#closing.signal;
    if (closed.aborted) throw closed.reason;
    const { clock, timeoutMs } = this.#options;
    let used: Client | undefined;
    let isLate = false;
    let cancel = (): void => undefined;
    const late = new Promise<never>((_, reject) => {
      cancel = clock.after(timeoutMs, () => {
        isLate = true;
        this.#drop(used); // L1
        reject(new StoreFault("slow", formatDuration(timeoutMs)));
      });
    });
    try {
      return await Promise.race([
        late,
        this.#attempt((client) => {
          if (isLate) throw new StoreFault("slow", formatDuration(timeoutMs));
          used = client;
          return question(client);
        }),
      ]);
    } finally {
      cancel();
    }
  }

  async #attempt<T>(question: (client: Client) => Promise<T>): Promise<T> {
    const client = await this.#connected();
    try {
      return await question(client);
    } catch (error) {
      if (!isUndone(error)) throw error;
      this.#drop(client);
    }
    return question(await this.#connected()); // L2
  }

  // L3
  #connected(): Promise<Client> {
    if (this.#client?.status === "ready") return Promise.resolve(this.#client);
    this.#connecting ??= this.#connect().finally(() => (this.#connecting = undefined));
    return this.#connecting;
  }

  async #connect(): Promise<Client> {
    const client = await this.#search();
    this.#client = client;
    return client;
  }

  // Whoever answers is asked where the locks are.
  async #search(): Promise<Client> {
    const { kind, endpoints } = this.#options.access.address;
    // The sentinels are asked one after another by the driver.
    const wanted = kind === "sentinel" ? endpoints.slice(0, 1) : endpoints;
    const candidates = [...(this.#lastSeen === undefined ? [] : [this.#lastSeen]), ...wanted];
    const withinMs = this.#options.timeoutMs / candidates.length;
    let problem: unknown;
    for (const candidate of candidates) {
      try {
        return await this.#follow(candidate, withinMs);
      } catch (error) {
        if (this.#closing.signal.aborted) throw error;
        problem = error;
      }
    }
    throw problem;
  }

  async #follow(start: Endpoint, withinMs: number): Promise<Client> {
    const { access, expected, clock } = this.#options;
    const stop = new AbortController();
    const cancel = clock.after(withinMs, () => {
      stop.abort(new StoreFault("slow", formatDuration(withinMs)));
    });
    try {
      let endpoint = start;
      for (let moves = 0; moves < MOST_MOVES; moves++) {
        const client = await connect(access, endpoint, { withinMs, signal: stop.signal });
        const drop = (): void => {
          client.disconnect();
        };
        stop.signal.addEventListener("abort", drop, { once: true });
        try {
          await inspect(client, expected);
          if (expected.kind === "cluster") this.#lastSeen = endpoint;
          return client;
        } catch (error) {
          drop();
          const next = expected.kind === "cluster" ? movedTo(error) : undefined;
          if (next === undefined) throw stop.signal.aborted ? stop.signal.reason : error;
          endpoint = resolved(next, endpoint);
        } finally {
          stop.signal.removeEventListener("abort", drop);
        }
      }
      throw new StoreFault("many-moves");
    } finally {
      cancel();
    }
  }

  #drop(client: Client | undefined): void {
    if (this.#client === client) this.#client = undefined;
    client?.disconnect();
  }
}

// A node that does not know its own name leaves it out: it means the one that was asked.
function resolved(text: string, asked: Endpoint): Endpoint {
  const colon = text.lastIndexOf(":");
  const [host, port] = [text.slice(0, colon), text.slice(colon + 1)];
  const name = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  return (
    parseEndpoint(`${name === "" || name === "?" ? asked.host : name}:${port}`, asked.port) ?? asked
  );
}
