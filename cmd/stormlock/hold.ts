// `stormlock hold`: runs a command while locks are held, and ends it before anybody else can hold
// one of them; or, as a sidecar, tells others whether they are held. (The command's process:
// child.ts; the sidecar: hold/sidecar.ts; the keeping: src/lock/keeper.ts.)
//
//   H1. Locks are taken in one fixed order, all or none: so two holders of the same locks never
//       wait for each other.
//   H2. The command starts when all are held, and never without a guardian.
//   H3. Its deadline is the earliest of all.
//   H4. Locks are released when the command and all that it started are gone, never before.

import { LockError } from "../../src/lock/errors.js";
import type { LockClient } from "../../src/rpc/client.js";
import type { Asked } from "./ask.js";
import type { Run, Scene } from "./command.js";
import { endingOf } from "./exit-code.js";
import { GuardianLink } from "./hold/guardian-link.js";
import { runUnder } from "./hold/held-command.js";
import { checkGrace, orderOf, type CommandWork, type Order } from "./hold/order.js";
import { say, sayAsJson } from "./hold/say.js";
import { ENDING_SIGNALS, listenFor, signalExitCode } from "./hold/signals.js";
import { Summary } from "./hold/summary.js";
import { TakenLocks } from "./hold/taken-locks.js";
import { keepLocks } from "./keep.js";

/** Does what the locks are wanted for. @returns how this process is to end */
type Work = (
  asked: Asked<LockClient>,
  scene: Scene,
  summary: Summary,
) => Promise<number | NodeJS.Signals>;

export const hold: Run = async (words, scene) => {
  const order = orderOf(words);
  const { resources } = order;
  const work = await workOf(order);
  const only = resources.length === 1 ? resources[0] : undefined;
  return await keepLocks(words, scene, only, async (asked) => {
    checkGrace(order, order.ttlMs ?? asked.defaultTtlMs);
    const summary = new Summary(resources);
    try {
      const way = await work(asked, scene, summary);
      scene.output.saveForLast(summary.json(way));
      return way;
    } catch (thrown) {
      summary.fails(thrown);
      scene.output.saveForLast(summary.json(endingOf(thrown).code));
      throw thrown;
    }
  });
};

async function workOf(order: Order): Promise<Work> {
  const { work } = order;
  if (work.kind === "command") {
    return (asked, scene, summary) => holdForCommand(order, work, asked, scene, summary);
  }
  const { holdForOthers } = await import("./hold/sidecar.js");
  return (asked, scene, summary) => holdForOthers(order, work, asked, scene, summary);
}

async function holdForCommand(
  order: Order,
  work: CommandWork,
  asked: Asked<LockClient>,
  scene: Scene,
  summary: Summary,
): Promise<number | NodeJS.Signals> {
  await using guardian = new GuardianLink(); // starts while the locks are being taken
  await using locks = new TakenLocks(); // H4
  const stop = new AbortController();
  let stoppedBy: NodeJS.Signals | undefined;
  using listening = listenFor(ENDING_SIGNALS, (signal) => {
    stoppedBy ??= signal;
    stop.abort(new LockError("cancelled", `stopped by ${signal}`));
  });
  // Nothing was run.
  const leave = async (signal: NodeJS.Signals): Promise<number> => {
    summary.ends("stopped");
    await locks.releaseSoon();
    return signalExitCode(signal);
  };
  try {
    const refusal = await locks.take(order, asked, scene, stop.signal); // H1
    if (refusal !== undefined) {
      summary.ends("not-acquired");
      scene.output.error("lock-held", refusal);
      return order.conflictCode;
    }
  } catch (thrown) {
    if (stoppedBy !== undefined) return await leave(stoppedBy);
    throw thrown;
  }
  if (stoppedBy !== undefined) return await leave(stoppedBy);
  listening[Symbol.dispose]();
  summary.holds(locks.holds);
  return await runUnder(locks, work, guardian, scene.output.isJson ? sayAsJson : say, summary); // H2, H3
}
