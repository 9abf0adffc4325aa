// Two daemons over one store, and holders who want the same locks, in virtual time, with all that
// can go wrong going wrong. Everything that decides is the real code.

import type { Backend } from "../../src/lock/backend.js";
import type { DeadlineRule } from "../../src/lock/holder/belief.js";
import { LockError } from "../../src/lock/errors.js";
import { Keeper } from "../../src/lock/holder/keeper.js";
import type { HoldLink, LinkEvents } from "../../src/lock/holder/link.js";
import { LockManager } from "../../src/lock/daemon/manager.js";
import { Policy } from "../../src/lock/policy.js";
import { HoldSession } from "../../src/lock/daemon/session.js";
import type { Hold } from "../../src/lock/holder/holding.js";
import { MemoryStore } from "./memory-backend.js";
import { Process, World } from "./simulation.js";

/** How much the rates of two clocks may differ in these worlds: a little less than ρ. */
const MOST_DRIFT = 0.0045;

const RESOURCE = "deploy/prod";

export interface HoldWorldOptions {
  readonly seed: number;
  /** A rule in place of the real one; `nowMs` is the holder's clock. */
  readonly deadlineOf?: (nowMs: () => number) => DeadlineRule;
}

export interface HoldWorldReport {
  /** How often somebody came to hold the lock. */
  readonly grants: number;
  /** How often somebody lost it. */
  readonly losses: number;
  /** How often a stream was opened anew with a lease on it. */
  readonly resumes: number;
}

class Wrong extends Error {}

/**
 * Plays one world to its end.
 * @throws when two holders believe at the same time, tokens go back, or nobody gets the lock any
 *   more once all faults are over; the message tells the seed and the story
 */
export async function playHoldWorld({
  seed,
  deadlineOf,
}: HoldWorldOptions): Promise<HoldWorldReport> {
  const world = new World(seed);
  const { dice } = world;
  const ttlMs = dice.pick([1000, 2000, 3000]);
  const faultsEndMs = dice.between(4, 8) * ttlMs;
  const storeClock = new Process(world, "store", 1);
  const store = new MemoryStore(storeClock);
  const truth = store.open();
  const drift = (): number => 1 + dice.between(-MOST_DRIFT, MOST_DRIFT);
  const areFaultsOn = (): boolean => world.nowMs < faultsEndMs;

  const daemons: Daemon[] = [0, 1].map(
    (index) => new Daemon(world, index, truth, drift, areFaultsOn),
  );
  const believed = new Set<{ readonly hold: Hold; readonly process: Process }>();
  let highest = 0n;
  let grants = 0;
  let losses = 0;
  let resumes = 0;
  let wrong: string | undefined;
  const end = { isAlive: false };

  const startHolder = (name: string, isMortal: boolean): void => {
    const process = new Process(world, name, drift());
    const keeper = new Keeper({
      clock: process,
      random: () => dice.next(),
      links: daemons.map(
        (daemon) => (events) => daemon.open(process, events, () => (resumes += 1)),
      ),
      patienceMs: 1e9,
      ...(deadlineOf === undefined ? {} : { deadlineOf: deadlineOf(() => process.monotonicMs()) }),
    });
    const again = (): void => {
      const leave = new AbortController();
      if (areFaultsOn() && dice.chance(0.2)) {
        process.after(dice.between(0, 3 * ttlMs), () => {
          leave.abort(new LockError("cancelled", "left"));
        });
      }
      keeper
        .hold({
          resource: RESOURCE,
          principal: name,
          ttlMs,
          waitMs: dice.chance(0.8) ? Infinity : dice.between(0, 2 * ttlMs),
          reason: "",
          labels: {},
          signal: leave.signal,
        })
        .then(
          (outcome) => {
            if (outcome.kind === "held") onHeld(outcome.hold);
            else process.after(dice.between(10, ttlMs), again);
          },
          () => process.after(dice.between(10, ttlMs), again),
        );
    };
    const onHeld = (hold: Hold): void => {
      world.tell(`${name} holds with ${String(hold.token)}`);
      grants += 1;
      believed.add({ hold, process });
      // By then whoever held when the faults ended has let go, or has lost.
      if (world.nowMs > faultsEndMs + 5 * ttlMs) end.isAlive = true;
      if (hold.isHeld) {
        if (hold.token < highest) {
          wrong ??= `token ${String(hold.token)} is believed in after ${String(highest)}`;
        }
        highest = hold.token;
      }
      const isGoingOn = { value: true };
      const goOn = (): void => {
        if (!isGoingOn.value) return;
        isGoingOn.value = false;
        process.after(dice.between(0, ttlMs / 2), again);
      };
      hold.signal.addEventListener("abort", () => {
        world.tell(`${name} has lost ${String(hold.token)}`);
        losses += 1;
        void hold.release().then(goOn);
      });
      process.after(dice.between(0, 2.5 * ttlMs), () => {
        world.tell(`${name} releases ${String(hold.token)}`);
        void hold.release().then(goOn);
      });
    };
    again();
    if (isMortal && dice.chance(0.3)) {
      world.at(dice.between(0, faultsEndMs), () => {
        world.tell(`${name} is killed`);
        process.kill();
      });
    }
    scheduleStops(world, process, ttlMs, faultsEndMs);
  };

  for (const name of ["ann", "bob", "cyd"]) startHolder(name, true);
  for (const daemon of daemons) daemon.scheduleFaults(ttlMs, faultsEndMs);

  // Belief begins and ends within what the store keeps: more than "no two believers", and true at
  // every moment between two events, too.
  const check = (): boolean => {
    if (wrong !== undefined) throw new Wrong(wrong);
    for (const each of [...believed]) {
      const { hold, process } = each;
      if (!hold.isHeld) {
        if (hold.state !== "PENDING") believed.delete(each);
        continue;
      }
      const kept = store.current(RESOURCE);
      const token = String(hold.token);
      if (kept?.token !== hold.token) {
        throw new Wrong(`${token} is believed in while the store has ${String(kept?.token)}`);
      }
      const overMs = process.worldMs(hold.deadlineMs) - (world.nowMs + kept.remainingMs);
      if (overMs > 1e-6)
        throw new Wrong(`${token} is believed in ${overMs.toFixed(3)} ms too long`);
    }
    return end.isAlive;
  };
  try {
    await world.run(faultsEndMs, check);
    startHolder("eve", false);
    await world.run(faultsEndMs + 30 * ttlMs, check);
    if (!end.isAlive)
      throw new Error("nobody gets the lock any more, although nothing is wrong any more");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(
      `seed ${String(seed)}, ttl ${String(ttlMs)} ms: ${why}\n${world.story.slice(-40).join("\n")}`,
      {
        cause: error,
      },
    );
  }
  return { grants, losses, resumes };
}

function scheduleStops(world: World, process: Process, ttlMs: number, untilMs: number): void {
  const { dice } = world;
  const next = (): void => {
    const atMs = world.nowMs + dice.between(0.2, 4) * ttlMs;
    if (atMs >= untilMs) return;
    world.at(atMs, () => {
      const forMs = dice.between(0, dice.chance(0.3) ? 2 : 0.4) * ttlMs;
      world.tell(`${process.name} stands still for ${forMs.toFixed(0)} ms`);
      process.stop(forMs);
      next();
    });
  };
  next();
}

/** A daemon that is killed and started again, with a new clock and an empty memory each time. */
class Daemon {
  readonly #world: World;
  readonly #name: string;
  readonly #truth: Backend;
  readonly #drift: () => number;
  readonly #areFaultsOn: () => boolean;
  #life = 0;
  #process: Process;
  #manager: LockManager;
  #keeping = new Map<string, HoldSession>();
  readonly #cuts = new Set<() => void>();

  constructor(
    world: World,
    index: number,
    truth: Backend,
    drift: () => number,
    areFaultsOn: () => boolean,
  ) {
    this.#world = world;
    this.#name = `daemon ${String(index)}`;
    this.#truth = truth;
    this.#drift = drift;
    this.#areFaultsOn = areFaultsOn;
    this.#process = new Process(world, this.#name, drift());
    this.#manager = this.#start();
  }

  scheduleFaults(ttlMs: number, untilMs: number): void {
    const { dice } = this.#world;
    const next = (): void => {
      const atMs = this.#world.nowMs + dice.between(0.2, 3) * ttlMs;
      if (atMs >= untilMs) {
        this.#world.at(untilMs, () => {
          this.#cutAll();
        });
        return;
      }
      this.#world.at(atMs, () => {
        if (dice.chance(0.25)) this.#restart(dice.between(0, ttlMs));
        else if (dice.chance(0.4)) this.#cutAll();
        else {
          const forMs = dice.between(0, dice.chance(0.3) ? 2 : 0.5) * ttlMs;
          this.#world.tell(`${this.#name} stands still for ${forMs.toFixed(0)} ms`);
          this.#process.stop(forMs);
        }
        next();
      });
    };
    next();
  }

  open(holder: Process, events: LinkEvents, opened: () => void): HoldLink {
    const world = this.#world;
    const { dice } = world;
    const life = this.#life;
    const daemon = this.#process;
    const state = { isOpen: true };
    const fail = (): void => {
      if (!state.isOpen) return;
      state.isOpen = false;
      world.in(this.#delayMs(), () => {
        daemon.run(() => {
          session.end();
        });
      });
      world.in(this.#delayMs(), () => {
        holder.run(() => {
          events.closed(new LockError("unavailable", "the connection broke"));
        });
      });
    };
    const toHolder = new Wire(world, holder, () => this.#delayMs());
    const toDaemon = new Wire(world, daemon, () => this.#delayMs());
    const session = new HoldSession({
      locks: this.#manager,
      identity: undefined,
      keeping: this.#keeping,
      say: (message) => {
        if (state.isOpen)
          toHolder.send(() => {
            if (state.isOpen) events.heard(message);
          });
      },
    });
    if (daemon.isDead || life !== this.#life) {
      state.isOpen = false;
      world.in(1, () => {
        holder.run(() => {
          events.closed(new LockError("unreachable", "refused"));
        });
      });
    } else {
      opened();
      this.#cuts.add(fail);
    }
    return {
      say: (message) => {
        if (!state.isOpen) return;
        toDaemon.send(() => {
          if (!state.isOpen) return;
          try {
            session.hear(message);
          } catch {
            fail();
          }
        });
        if (this.#areFaultsOn() && dice.chance(0.01)) fail();
      },
      close: () => {
        if (!state.isOpen) return;
        state.isOpen = false;
        this.#cuts.delete(fail);
        world.in(this.#delayMs(), () => {
          daemon.run(() => {
            session.end();
          });
        });
      },
    };
  }

  #delayMs(): number {
    const { dice } = this.#world;
    if (this.#areFaultsOn() && dice.chance(0.03)) return dice.between(0, 2500);
    return dice.between(0, 15);
  }

  #start(): LockManager {
    return new LockManager({
      clock: this.#process,
      policy: new Policy(),
      backends: new Map([
        ["default", flaky(this.#truth, this.#world, this.#process, this.#areFaultsOn)],
      ]),
    });
  }

  #restart(downMs: number): void {
    this.#world.tell(`${this.#name} is killed for ${downMs.toFixed(0)} ms`);
    this.#process.kill();
    this.#cutAll();
    this.#world.in(downMs, () => {
      this.#life += 1;
      this.#process = new Process(this.#world, this.#name, this.#drift());
      this.#keeping = new Map();
      this.#manager = this.#start();
    });
  }

  #cutAll(): void {
    for (const cut of this.#cuts) cut();
    this.#cuts.clear();
  }
}

/** Messages one way, in their order. */
class Wire {
  readonly #world: World;
  readonly #to: Process;
  readonly #delayMs: () => number;
  #lastAtMs = 0;

  constructor(world: World, to: Process, delayMs: () => number) {
    this.#world = world;
    this.#to = to;
    this.#delayMs = delayMs;
  }

  send(deliver: () => void): void {
    this.#lastAtMs = Math.max(this.#lastAtMs, this.#world.nowMs + this.#delayMs());
    this.#world.at(this.#lastAtMs, () => {
      this.#to.run(deliver);
    });
  }
}

// The store as a daemon sees it: slow at times, its questions and its answers lost at times.
function flaky(truth: Backend, world: World, daemon: Process, areFaultsOn: () => boolean): Backend {
  const { dice } = world;
  const pass = (): Promise<void> =>
    new Promise((resolve) => {
      const slow = areFaultsOn() && dice.chance(0.05);
      world.in(slow ? dice.between(0, 3000) : dice.between(0, 5), resolve);
    });
  const back = (): Promise<void> =>
    new Promise((resolve) => {
      const slow = areFaultsOn() && dice.chance(0.05);
      world.in(slow ? dice.between(0, 3000) : dice.between(0, 5), () => {
        daemon.run(resolve);
      });
    });
  const over = async <T>(ask: () => Promise<T>): Promise<T> => {
    await pass();
    if (areFaultsOn() && dice.chance(0.03)) {
      await back();
      throw new LockError("unavailable", "the question was lost");
    }
    const answer = await ask();
    await back();
    if (areFaultsOn() && dice.chance(0.03))
      throw new LockError("unavailable", "the answer was lost");
    return answer;
  };
  return {
    traits: truth.traits,
    acquire: (asks) => over(() => truth.acquire(asks)),
    renew: (asks) => over(() => truth.renew(asks)),
    release: (asks) => over(() => truth.release(asks)),
    current: (resources) => over(() => truth.current(resources)),
    list: (ask) => over(() => truth.list(ask)),
    check: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
