// Holds locks for somebody who runs elsewhere, and tells him by files and over HTTP whether they
// are held.
//
//   D1. Nothing says that the locks are held before all are, or when one is not any more: what
//       says so goes first, then the locks are given back.
//   D2. Files are gone before the deadline, whatever becomes of this process: there is none
//       without a guardian.
//   D3. A loss is final. Who contends again starts from nothing, and at a bounded pace.

import { sleep } from "../../../src/lock/clock.js";
import { LockError } from "../../../src/lock/errors.js";
import type { LockClient } from "../../../src/rpc/client.js";
import { systemClock } from "../../../src/system-clock.js";
import type { Asked } from "../ask.js";
import type { Scene } from "../command.js";
import { ExitCode } from "../exit-code.js";
import { EXIT_LOST } from "./child-end.js";
import { GuardianLink } from "./guardian-link.js";
import type { HeardSignals } from "./heard-signals.js";
import { HeldDoor } from "./held-door.js";
import type { Order, SidecarWork } from "./order.js";
import { say, sayAsJson } from "./say.js";
import { Showing } from "./showing.js";
import { ShownFiles } from "./shown-files.js";
import { signalExitCode } from "./signals.js";
import type { Summary } from "./summary.js";
import { TakenLocks } from "./taken-locks.js";

// How soon it contends again: doubled from the first to the second, and from the first again
// when a lock was held for longer than the second.
const FIRST_PAUSE_MS = 500;
const LAST_PAUSE_MS = 10_000;

/** Runs the sidecar to its end. @returns how this process is to end */
export async function holdForOthers(
  order: Order,
  work: SidecarWork,
  signals: HeardSignals,
  asked: Asked<LockClient>,
  scene: Scene,
  summary: Summary,
): Promise<number | NodeJS.Signals> {
  const { output } = scene;
  const tell = output.isJson ? sayAsJson : say;
  const files = new ShownFiles(work);
  await using guardian = files.areWanted ? new GuardianLink() : undefined; // D2
  const showing = new Showing(files, guardian);
  await using door =
    work.http === undefined
      ? undefined
      : await HeldDoor.open(
          { address: work.http, isPublic: work.isPublic },
          order.resources,
          () => showing.locks,
        );
  if (door !== undefined && !output.isQuiet) tell(`answering on http://${door.address}/held`);
  const names = order.resources.join(", ");
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LAST_PAUSE_MS)) {
    await using locks = new TakenLocks(); // D1: given back when `while` has hidden it
    try {
      const refusal = await locks.take(order, asked, scene, signals.stop);
      if (refusal !== undefined) {
        summary.ends("not-acquired");
        output.error("lock-held", refusal);
        return order.conflictCode;
      }
      summary.holds(locks.holds);
      const sinceMs = systemClock.monotonicMs();
      const end = await showing.while(locks, signals.stop, () => {
        const tokens = locks.holds.map(({ token }) => String(token)).join(", ");
        if (!output.isQuiet) tell(`holding ${names} with token ${tokens}`);
      });
      summary.ends(end === "stopped" ? "released" : end);
      const { stoppedBy } = signals;
      const isLost = end === "lost" && !work.isAgain;
      if (stoppedBy !== undefined && !isLost) {
        signals.leave(() => void locks.releaseSoon());
        const lost = await locks.release();
        if (lost.length > 0 && !work.isAgain) {
          summary.turnsOutLost();
          tell(`the lock on ${lost.join(", ")} was lost`);
          return EXIT_LOST;
        }
        // The one signal that means no more than that the work is done.
        return stoppedBy === "SIGTERM" ? ExitCode.OK : stoppedBy;
      }
      if (end === "unguarded") {
        tell("no guardian could be kept alive: the lock is given back");
        return ExitCode.INTERNAL;
      }
      tell(`the lock on ${names} was lost${work.isAgain ? ": contending again" : ""}`);
      if (!work.isAgain) return EXIT_LOST;
      if (systemClock.monotonicMs() - sinceMs > LAST_PAUSE_MS) pauseMs = FIRST_PAUSE_MS;
    } catch (thrown) {
      if (signals.stoppedBy === undefined) {
        // Whoever has lost a lock because nobody answers will not have it back at once (D3).
        if (!work.isAgain || !mayPass(thrown)) throw thrown;
        tell(`${thrown.message}: asking again`);
      }
    }
    summary.waits();
    await locks.releaseSoon();
    if (!(await hasPaused(pauseMs, signals.stop))) {
      summary.ends("stopped");
      return signalExitCode(signals.stoppedBy ?? "SIGTERM");
    }
  }
}

function mayPass(thrown: unknown): thrown is LockError {
  if (!(thrown instanceof LockError)) return false;
  return !thrown.isDefinite && thrown.kind !== "internal";
}

// false when it was cut short
async function hasPaused(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(systemClock, ms, signal);
    return true;
  } catch {
    return false;
  }
}
