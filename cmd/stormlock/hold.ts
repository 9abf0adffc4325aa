// `stormlock hold`: runs a command while locks are held, and ends it before anybody else can hold
// one of them. (The command's process: child.ts; the keeping: src/lock/keeper.ts.)
//
//   H1. Locks are taken in one fixed order, all or none: so two holders of the same locks never
//       wait for each other.
//   H2. The command starts when all are held, and never without a guardian.
//   H3. Its deadline is the earliest of all.
//   H4. Locks are released when the command and all that it started are gone, never before.

import { setTimeout as pause } from "node:timers/promises";
import { LockError } from "../../src/lock/errors.js";
import { formatDuration } from "../../src/lock/duration.js";
import type { Lease } from "../../src/lock/lease.js";
import type { HoldResult } from "../../src/rpc/client.js";
import { systemClock } from "../../src/system-clock.js";
import { askLocks, type Asked } from "./ask.js";
import { GuardedChild } from "./child.js";
import type { Run, Scene, Words } from "./command.js";
import { ExitCode } from "./exit-code.js";
import { wayOut } from "./hold/child-end.js";
import { childEnvironment, newMarker } from "./hold/child-environment.js";
import { GuardianLink } from "./hold/guardian-link.js";
import { deadlineOn, type HostMoment } from "./hold/host-time.js";
import { say } from "./hold/say.js";
import { ENDING_SIGNALS, listenFor, signalExitCode } from "./hold/signals.js";
import { undecodableArgument } from "./hold/undecodable.js";
import { UsageError } from "./usage-error.js";
import { waitingFor } from "./waiting.js";

type Hold = Extract<HoldResult, { kind: "granted" }>["hold"];

// The grace where none is given: long enough for a tidy end, and never the most of a ttl.
const LONGEST_GRACE_MS = 10_000;
const GRACE_SHARE = 1 / 4;
const MOST_GRACE_SHARE = 1 / 3;

// How long a wait must take before anything is said of it.
const FIRST_WORD_MS = 400;

// A wait that a signal has ended is over at once: its release may take no longer than this.
const FAREWELL_MS = 1000;

/** What was typed, checked. */
interface Order {
  readonly resources: readonly string[];
  readonly command: string;
  readonly args: readonly string[];
  readonly ttlMs: number | undefined;
  readonly waitMs: number;
  readonly graceMs: number | undefined;
  readonly reason: string;
}

export const hold: Run = async (words, scene) => {
  const order = orderOf(words);
  const { resources } = order;
  const only = resources.length === 1 ? resources[0] : undefined;
  return await askLocks(words, scene, only, async (asked) => {
    checkGrace(order, order.ttlMs ?? asked.defaultTtlMs);
    await using guardian = new GuardianLink(); // starts while the locks are being taken
    const stop = new AbortController();
    let stoppedBy: NodeJS.Signals | undefined;
    const listening = listenFor(ENDING_SIGNALS, (signal) => {
      stoppedBy ??= signal;
      stop.abort(new LockError("cancelled", `stopped by ${signal}`));
    });
    const taken: Hold[] = [];
    try {
      const refusal = await takeAll(order, asked, scene, stop.signal, taken);
      if (refusal !== undefined) {
        scene.output.error("lock-held", refusal);
        return ExitCode.NOT_ACQUIRED;
      }
      if (stoppedBy !== undefined) return await leave(taken, stoppedBy);
      listening[Symbol.dispose]();
      return await runUnder(order, guardian, taken);
    } catch (thrown) {
      if (stoppedBy !== undefined) return await leave(taken, stoppedBy);
      throw thrown;
    } finally {
      listening[Symbol.dispose]();
      await releaseAll(taken); // H4
    }
  });
};

function orderOf(words: Words): Order {
  const [command, ...args] = words.rest ?? [];
  if (command === undefined) {
    throw new UsageError("no command is given: stormlock hold RESOURCE -- COMMAND [ARG...]");
  }
  const undecodable = undecodableArgument();
  if (undecodable !== undefined) {
    throw new UsageError(
      `the argument ${JSON.stringify(undecodable)} is no UTF-8, and could not be passed on as it is`,
    );
  }
  const resources = words.all("RESOURCE");
  const twice = resources.find((resource, at) => resources.indexOf(resource) < at);
  if (twice !== undefined) throw new UsageError(`RESOURCE ${JSON.stringify(twice)} is given twice`);
  if (words.has("no-wait") && words.has("wait")) {
    throw new UsageError("--wait and --no-wait exclude each other: give one of them");
  }
  return {
    resources: [...resources].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))), // H1
    command,
    args,
    ttlMs: words.durationMs("ttl"),
    waitMs: words.has("no-wait") ? 0 : (words.durationMs("wait") ?? Infinity),
    graceMs: words.durationMs("grace"),
    reason: words.value("reason") ?? "",
  };
}

function graceOf({ graceMs }: Order, ttlMs: number): number {
  return graceMs ?? Math.min(LONGEST_GRACE_MS, ttlMs * GRACE_SHARE);
}

function checkGrace({ graceMs }: Order, ttlMs: number | undefined): void {
  if (graceMs === undefined || ttlMs === undefined) return;
  const mostMs = Math.floor(ttlMs * MOST_GRACE_SHARE);
  if (graceMs <= mostMs) return;
  throw new UsageError(
    `--grace ${formatDuration(graceMs)} does not fit a ttl of ${formatDuration(ttlMs)}: ` +
      `give ${formatDuration(mostMs)} at the most, or a longer --ttl`,
  );
}

// H1. What has been taken before something went wrong is in `taken`, for whoever cleans up.
async function takeAll(
  order: Order,
  asked: Asked,
  scene: Scene,
  signal: AbortSignal,
  taken: Hold[],
): Promise<string | undefined> {
  const untilMs = systemClock.monotonicMs() + order.waitMs;
  for (const resource of order.resources) {
    const result = await takeOne(resource, order, asked, scene, signal, untilMs);
    if (result.kind === "held") return result.message;
    taken.push(result.hold);
    checkGrace(order, result.hold.lease.ttlMs);
  }
  return undefined;
}

async function takeOne(
  resource: string,
  { ttlMs, reason }: Order,
  { client, principalFor, defaultTtlMs }: Asked,
  scene: Scene,
  signal: AbortSignal,
  untilMs: number,
): Promise<HoldResult> {
  const wishedTtlMs = ttlMs ?? defaultTtlMs;
  const telling = new WaitLine(resource, scene);
  try {
    return await client.hold(resource, {
      principal: principalFor(resource),
      waitMs: Math.max(0, untilMs - systemClock.monotonicMs()),
      ...{ reason, signal },
      ...(wishedTtlMs === undefined ? {} : { ttlMs: wishedTtlMs }),
      onQueued: (position, holder) => {
        telling.hear(position, holder);
      },
    });
  } finally {
    telling.stop();
  }
}

// H2, H3
async function runUnder(
  order: Order,
  guardian: GuardianLink,
  holds: readonly Hold[],
): Promise<number | NodeJS.Signals> {
  const deadline = (): HostMoment =>
    deadlineOn(systemClock, Math.min(...holds.map(({ deadlineMs }) => deadlineMs)));
  const marker = newMarker();
  const leases = holds.map(({ lease }) => lease);
  const graceMs = Math.min(...leases.map(({ ttlMs }) => graceOf(order, ttlMs)));
  await using child = await GuardedChild.start(guardian, {
    ...{ command: order.command, args: order.args, marker, graceMs, deadline },
    env: childEnvironment(process.env, leases, marker),
    leftBehind: (count) => {
      const were = count === 1 ? "1 process was" : `${String(count)} processes were`;
      say(`${were} left behind by the command, and must not outlive the lock: ended`);
    },
  });
  const unwatch = holds.map((each) =>
    each.watch(() => {
      if (each.state === "LOST") child.lose();
      else child.extend(deadline());
    }),
  );
  child.extend(deadline());
  if (holds.some(({ isHeld }) => !isHeld)) child.lose();
  const end = await child.ended;
  for (const stop of unwatch) stop();
  if ("message" in end) say(end.message);
  if (end.cut === "lost") {
    const names = holds.map(({ resource }) => resource).join(", ");
    say(`the lock on ${names} was lost or about to be: the command was ended`);
  } else if (end.cut === "unguarded") {
    say("no guardian could be kept alive: the command was ended");
  }
  return wayOut(end);
}

// A wait that was ended by a signal: nothing was run.
async function leave(taken: Hold[], signal: NodeJS.Signals): Promise<number> {
  await Promise.race([releaseAll(taken), pause(FAREWELL_MS)]);
  return signalExitCode(signal);
}

async function releaseAll(holds: Hold[]): Promise<void> {
  await Promise.all(holds.splice(0).map((each) => each.release()));
}

/** What is said while a lock is waited for: a line kept up to date on a terminal, else one line. */
class WaitLine {
  readonly #resource: string;
  readonly #scene: Scene;
  readonly #canRewrite: boolean;
  readonly #stopWaiting: () => void;
  #news: { readonly position: number; readonly holder: Lease | undefined } | undefined;
  #isDue = false;
  #isSaid = false;

  constructor(resource: string, scene: Scene) {
    this.#resource = resource;
    this.#scene = scene;
    const { output, env, isTerminal } = scene;
    this.#canRewrite = !output.isJson && env["TERM"] !== "dumb" && isTerminal(2);
    this.#stopWaiting = systemClock.after(FIRST_WORD_MS, () => {
      this.#isDue = true;
      this.#tell();
    });
  }

  hear(position: number, holder: Lease | undefined): void {
    this.#news = { position, holder };
    if (this.#isDue) this.#tell();
  }

  stop(): void {
    this.#stopWaiting();
    this.#isDue = false;
    this.#scene.output.clearStatus();
  }

  #tell(): void {
    if (this.#news === undefined || (this.#isSaid && !this.#canRewrite)) return;
    const { position, holder } = this.#news;
    const where = `you are ${ordinal(position)}`;
    const words =
      holder === undefined
        ? `waiting for ${this.#resource}, ${where}`
        : `${waitingFor(this.#resource, holder, systemClock.wallMs())}, ${where}`;
    this.#isSaid = true;
    if (this.#canRewrite) this.#scene.output.status(words);
    else this.#scene.output.note(words);
  }
}

function ordinal(count: number): string {
  const isTeen = count % 100 > 10 && count % 100 < 14;
  const ending = isTeen ? "th" : (["th", "st", "nd", "rd"][count % 10] ?? "th");
  return `${String(count)}${ending}`;
}
