import { GuardedChild } from "../child.js";
import { EXIT_LOST, wayOut, type ChildEnd } from "./child-end.js";
import { childEnvironment, newMarker } from "./child-environment.js";
import type { GuardianLink } from "./guardian-link.js";
import type { HeardSignals } from "./heard-signals.js";
import { graceOf, type CommandWork } from "./order.js";
import type { Say } from "./say.js";
import { endingOfChild, type Summary } from "./summary.js";
import type { TakenLocks } from "./taken-locks.js";

export interface HeldCommand {
  readonly locks: TakenLocks;
  readonly work: CommandWork;
  readonly guardian: GuardianLink;
  readonly signals: HeardSignals;
  readonly say: Say;
  readonly summary: Summary;
}

/**
 * Runs a command under locks that have been taken, and gives them back when it and all that it
 * started are gone.
 * @returns how this process is to end
 * @throws LockError "internal" when there is no guardian, "cancelled" when a signal came first;
 *   nothing was run then, and nothing is given back yet
 */
export async function runUnder(held: HeldCommand): Promise<number | NodeJS.Signals> {
  const { locks, work, guardian, signals, say, summary } = held;
  const marker = newMarker();
  const names = locks.holds.map(({ resource }) => resource).join(", ");
  const told = { isWarned: false };
  // A guardian may take seconds to answer, and the locks are kept in the meantime: it must not
  // begin with a deadline that has passed.
  const unwatchStart = locks.watch(() => {
    guardian.sayDeadline(locks.deadline);
  });
  await using child = await GuardedChild.start(guardian, {
    ...{ command: work.command, args: work.args, marker, onLost: work.onLost, signals, say },
    graceMs: Math.min(...locks.holds.map(({ lease }) => graceOf(work, lease.ttlMs))),
    deadline: () => locks.deadline,
    env: childEnvironment(
      process.env,
      locks.holds.map(({ lease }) => lease),
      marker,
    ),
    leftBehind: (ended, foreign) => {
      const rule = "left behind by the command, and must not outlive the lock";
      const it = foreign === 1 ? "it" : "them";
      if (ended > 0) say(`${processes(ended)} ${rule}: ended`);
      if (foreign > 0) say(`${processes(foreign)} ${rule}: this user may not end ${it}`);
    },
  }).finally(unwatchStart);
  const look = (): void => {
    const lost = locks.holds.filter(({ isHeld }) => !isHeld);
    if (lost.length === 0) {
      child.extend(locks.deadline);
      return;
    }
    child.lose();
    summary.ends("lost");
    if (work.onLost === "kill" || told.isWarned) return;
    told.isWarned = true;
    const which = lost.map(({ resource }) => resource).join(", ");
    say(`the lock on ${which} was lost, others may hold it now: the command goes on`);
  };
  const unwatch = locks.watch(look);
  look();
  const end = await child.ended;
  unwatch();
  summary.ends(endingOfChild(end));
  if (!told.isWarned) tell(end, names, work, say);
  const lost = await giveBack(end, held);
  if (lost.length === 0 || end.cut === "lost") return wayOut(end);
  say(`the lock on ${lost.join(", ")} was lost while the command ran`);
  summary.turnsOutLost();
  return EXIT_LOST;
}

/** @returns those that turn out to have been lost */
async function giveBack(
  { undying }: ChildEnd,
  { locks, signals, say }: HeldCommand,
): Promise<readonly string[]> {
  signals.leave(() => void locks.releaseSoon());
  if (undying === 0) return await locks.release();
  // Whoever comes next has the rest of the ttl for what may yet come of them (H4).
  locks.abandon();
  say(
    `${processes(undying)} left behind by the command, and cannot be killed: ` +
      "the lock is not given back, it ends with its ttl",
  );
  return [];
}

function processes(count: number): string {
  return count === 1 ? "1 process was" : `${String(count)} processes were`;
}

function tell(end: ChildEnd, names: string, { onLost }: CommandWork, say: Say): void {
  if ("message" in end) say(end.message);
  if (end.kind === "not-started") {
    say(`the lock on ${names} was lost before the command could be started: nothing was run`);
  } else if (end.cut === "lost" && onLost === "kill") {
    say(`the lock on ${names} was lost or about to be: the command was ended`);
  } else if (end.cut === "lost") {
    say(`the lock on ${names} was lost while the command ran`);
  } else if (end.cut === "unguarded") {
    say("no guardian could be kept alive: the command was ended");
  }
}
