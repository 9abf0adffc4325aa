// `stormlock hold`: runs a command while locks are held, and ends it before anybody else can hold
// one of them; or, as a sidecar, tells others whether they are held. (The command's process:
// child.ts; the sidecar: hold/sidecar.ts; the keeping: src/lock/holder/keeper.ts.)
//
//   H1. Locks are taken in one fixed order, all or none: so two holders of the same locks never
//       wait for each other.
//   H2. The command starts when all are held, and never without a guardian.
//   H3. Its deadline is the earliest of all.
//   H4. Locks are released when the command and all that it started are gone, never before: where
//       something of it cannot be killed, they end with their ttl.
//   H5. No signal ends this process between the first ask and the last answer: one that comes before
//       the command has begun ends the wait, and a later one is the command's.

import type { LockClient } from "../../src/rpc/client.js";
import type { Asked } from "./ask.js";
import type { Run, Scene } from "./command.js";
import { endingOf } from "./exit-code.js";
import { GuardianLink } from "./hold/guardian-link.js";
import { runUnder } from "./hold/held-command.js";
import { HeardSignals } from "./hold/heard-signals.js";
import { checkGrace, orderOf, type CommandWork, type Order } from "./hold/order.js";
import { say, sayAsJson } from "./hold/say.js";
import { signalExitCode } from "./hold/signals.js";
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
  using signals = new HeardSignals(); // H5: until the client is closed
  const work = await workOf(order, signals);
  const only = resources.length === 1 ? resources[0] : undefined;
  return await keepLocks(words, scene, only, async (asked) => {
    checkGrace(order, order.ttlMs ?? asked.defaultTtlMs);
    signals.listen();
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

async function workOf(order: Order, signals: HeardSignals): Promise<Work> {
  const { work } = order;
  if (work.kind === "command") {
    return (asked, scene, summary) => holdForCommand(order, work, signals, asked, scene, summary);
  }
  const { holdForOthers } = await import("./hold/sidecar.js");
  return (asked, scene, summary) => holdForOthers(order, work, signals, asked, scene, summary);
}

async function holdForCommand(
  order: Order,
  work: CommandWork,
  signals: HeardSignals,
  asked: Asked<LockClient>,
  scene: Scene,
  summary: Summary,
): Promise<number | NodeJS.Signals> {
  await using guardian = new GuardianLink(); // starts while the locks are being taken
  await using locks = new TakenLocks(); // H4
  try {
    const refusal = await locks.take(order, asked, scene, signals.stop); // H1
    if (refusal !== undefined) {
      summary.ends("not-acquired");
      scene.output.error("lock-held", refusal);
      return order.conflictCode;
    }
    summary.holds(locks.holds);
    const tell = scene.output.isJson ? sayAsJson : say;
    return await runUnder({ locks, work, guardian, signals, say: tell, summary }); // H2, H3
  } catch (thrown) {
    if (signals.stoppedBy === undefined) throw thrown;
    summary.ends("stopped"); // Nothing was run (H5).
    await locks.releaseSoon();
    return signalExitCode(signals.stoppedBy);
  } finally {
    signals.leave(() => void locks.releaseSoon());
  }
}
