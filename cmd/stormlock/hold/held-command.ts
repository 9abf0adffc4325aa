import { GuardedChild } from "../child.js";
import { wayOut, type ChildEnd } from "./child-end.js";
import { childEnvironment, newMarker } from "./child-environment.js";
import type { GuardianLink } from "./guardian-link.js";
import { graceOf, type CommandWork } from "./order.js";
import type { Say } from "./say.js";
import { endingOfChild, type Summary } from "./summary.js";
import type { TakenLocks } from "./taken-locks.js";

/**
 * Runs a command under locks that have been taken, until it and all that it started are gone.
 * @returns how this process is to end
 * @throws LockError "internal" when there is no guardian; nothing was run then
 */
export async function runUnder(
  locks: TakenLocks,
  work: CommandWork,
  guardian: GuardianLink,
  say: Say,
  summary: Summary,
): Promise<number | NodeJS.Signals> {
  const marker = newMarker();
  const names = locks.holds.map(({ resource }) => resource).join(", ");
  const told = { isWarned: false };
  // A guardian may take seconds to answer, and the locks are kept in the meantime: it must not
  // begin with a deadline that has passed.
  const unwatchStart = locks.watch(() => {
    guardian.sayDeadline(locks.deadline);
  });
  await using child = await GuardedChild.start(guardian, {
    ...{ command: work.command, args: work.args, marker, onLost: work.onLost, say },
    graceMs: Math.min(...locks.holds.map(({ lease }) => graceOf(work, lease.ttlMs))),
    deadline: () => locks.deadline,
    env: childEnvironment(
      process.env,
      locks.holds.map(({ lease }) => lease),
      marker,
    ),
    leftBehind: (count) => {
      const were = count === 1 ? "1 process was" : `${String(count)} processes were`;
      say(`${were} left behind by the command, and must not outlive the lock: ended`);
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
  return wayOut(end);
}

function tell(end: ChildEnd, names: string, { onLost }: CommandWork, say: Say): void {
  if ("message" in end) say(end.message);
  if (end.cut === "lost" && onLost === "kill") {
    say(`the lock on ${names} was lost or about to be: the command was ended`);
  } else if (end.cut === "lost") {
    say(`the lock on ${names} was lost while the command ran`);
  } else if (end.cut === "unguarded") {
    say("no guardian could be kept alive: the command was ended");
  }
}
