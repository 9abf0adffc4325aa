// Holders that want the same locks, and have them one after the other.

import { expect } from "vitest";
import { until } from "../../test/support/hold-cli.js";
import type { Crew, Member } from "./crew.js";

// A release that a killed daemon has swallowed leaves the lock until its ttl is over.
const TURN_WITHIN_MS = 60_000;
/** How often a holder says that it holds before it gives the lock back. */
const CLAIMS = 3;

interface Turn {
  readonly who: string;
  readonly token: bigint;
  /** By the host's monotonic clock: the first and the last moment at which it claimed to hold. */
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * One lock that every member of a crew wants at the same time. Who has had it asks again when all
 * have had it: across daemons nobody's turn is promised while others come thick and fast.
 */
class Contest {
  readonly #resource: string;
  readonly #turns: Turn[] = [];
  rounds = 0;

  constructor(resource: string) {
    this.#resource = resource;
  }

  async round(members: readonly Member[], ttlMs: number): Promise<void> {
    await Promise.all(members.map((member) => this.#turn(member, ttlMs)));
    this.rounds += 1;
  }

  /** Of any two turns the one with the smaller token was over before the other began. */
  check(): void {
    const turns = this.#turns.sort((one, other) => one.fromMs - other.fromMs);
    for (const [at, turn] of turns.entries()) {
      const next = turns[at + 1];
      if (next === undefined) break;
      const which = `${this.#resource}: ${turn.who}, then ${next.who}`;
      expect(next.token, which).toBeGreaterThan(turn.token);
      expect(next.fromMs, which).toBeGreaterThan(turn.toMs);
    }
  }

  async #turn({ name, actor }: Member, ttlMs: number): Promise<void> {
    const resource = this.#resource;
    actor.hold({ resource, ttlMs, waitMs: TURN_WITHIN_MS });
    const token = await actor.granted(resource, TURN_WITHIN_MS);
    await actor.until(
      resource,
      "it is held a while",
      ({ heldAtMs, isLost }) => isLost || heldAtMs.length >= CLAIMS,
    );
    actor.release(resource);
    const told = await actor.until(resource, "it is released", ({ isReleased }) => isReleased);
    if (told.isLost) throw new Error(`${resource}: ${name} has lost it`);
    const [fromMs = NaN] = told.heldAtMs;
    this.#turns.push({ who: name, token, fromMs, toMs: told.heldAtMs.at(-1) ?? NaN });
  }
}

/** Every member of a crew takes its turn at every resource, round after round. */
export class Turns {
  readonly #contests: readonly Contest[];
  readonly #done: Promise<unknown>;
  #isEnding = false;
  #failure: Error | undefined;

  constructor({ members }: Crew, resources: readonly string[], ttlMs: number) {
    this.#contests = resources.map((resource) => new Contest(resource));
    const play = async (contest: Contest): Promise<void> => {
      do await contest.round(members, ttlMs);
      while (!this.#isEnding && this.#failure === undefined);
    };
    this.#done = Promise.all(this.#contests.map(play)).catch((error: unknown) => {
      this.#failure = error instanceof Error ? error : new Error(String(error));
    });
  }

  /** Waits until everybody has had each lock in a round that began after now. */
  async wholeRound(): Promise<void> {
    const ends = new Map(this.#contests.map((contest) => [contest, contest.rounds + 2]));
    await until(
      "everybody has had a turn",
      () => {
        if (this.#failure !== undefined) throw this.#failure;
        return [...ends].every(([{ rounds }, end]) => rounds >= end);
      },
      TURN_WITHIN_MS,
    );
  }

  /** Waits until the rounds that are under way have ended: everybody has given everything back. */
  async end(): Promise<void> {
    this.#isEnding = true;
    await this.#done;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Never were there two at a time, and tokens grew. */
  check(): void {
    for (const contest of this.#contests) contest.check();
  }
}
