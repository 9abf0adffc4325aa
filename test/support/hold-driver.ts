import { appendFileSync } from "node:fs";
import { GuardedChild } from "../../cmd/stormlock/child.js";
import { endLike, type ChildEnd } from "../../cmd/stormlock/hold/child-end.js";
import { childEnvironment, newMarker } from "../../cmd/stormlock/hold/child-environment.js";
import { GuardianLink } from "../../cmd/stormlock/hold/guardian-link.js";
import { HeardSignals } from "../../cmd/stormlock/hold/heard-signals.js";
import { hostNow, later } from "../../cmd/stormlock/hold/host-time.js";
import { say } from "../../cmd/stormlock/hold/say.js";

// A wrapper whose keeper is a timer: it says that the lock is kept for another ttl, again and
// again, until it is told to stop. So everything about the command, its guardian and its signals
// runs for real without a daemon.

export interface DriverOptions {
  readonly log: string;
  readonly ttlMs: number;
  readonly graceMs: number;
  /** From then on no renewal succeeds. */
  readonly keepForMs?: number;
  /** When the keeper hears that the lock is lost. */
  readonly loseAtMs?: number;
  /** When the event loop blocks, for 3 ttl. */
  readonly blockAtMs?: number;
  /** Dies by SIGKILL when the command runs and the guardian has not been told. */
  readonly diesAfterSpawn?: boolean;
  /** Stops itself between the last look at the deadline and the start of the command. */
  readonly stopsBeforeSpawn?: boolean;
  /** The guardian says with its first answer that it is time to end. */
  readonly endsAtOnce?: boolean;
  /** Says something on stderr with each renewal, while the command runs. */
  readonly says?: boolean;
  readonly leases?: readonly { resource: string; token: number }[];
}

const options = JSON.parse(process.argv[2] ?? "") as DriverOptions;
const [command = "", ...args] = process.argv.slice(4);
const marker = newMarker();

function note(what: string, more: object = {}): void {
  const line = { what, atMs: hostNow().hrMs, ...more };
  appendFileSync(options.log, `${JSON.stringify(line)}\n`);
}

class DyingLink extends GuardianLink {
  override sayChild(): void {
    process.kill(process.pid, "SIGKILL");
  }
}

class HastyLink extends GuardianLink {
  override async guard(...[order, events]: Parameters<GuardianLink["guard"]>): Promise<void> {
    await super.guard(order, events);
    events.terminating();
  }
}

function link(): GuardianLink {
  if (options.diesAfterSpawn === true) return new DyingLink();
  return options.endsAtOnce === true ? new HastyLink() : new GuardianLink();
}

let deadline = later(hostNow(), options.ttlMs);
const environment = childEnvironment(
  process.env,
  (options.leases ?? [{ resource: "deploy/prod", token: 7 }]).map(({ resource, token }) => ({
    resource,
    token: BigInt(token),
    principal: "ann@ci-7",
    leaseId: "0123",
  })),
  marker,
);

async function run(): Promise<ChildEnd> {
  await using guardian = link();
  note("begun", { marker, guardianPid: guardian.pid, pid: process.pid });
  await using child = await GuardedChild.start(guardian, {
    command,
    args,
    get env() {
      if (options.stopsBeforeSpawn === true) process.kill(process.pid, "SIGSTOP");
      return environment;
    },
    marker,
    graceMs: options.graceMs,
    deadline: () => deadline,
    signals: new HeardSignals(),
    leftBehind: (count) => {
      note("left-behind", { count });
    },
  });
  note("started", { deadlineMs: deadline.hrMs });
  const begunMs = hostNow().hrMs;
  const keeping = setInterval(() => {
    if (hostNow().hrMs - begunMs >= (options.keepForMs ?? Infinity)) return;
    deadline = later(hostNow(), options.ttlMs);
    // Noted first: it may be stopped after any line, and no guardian has a later one than is known.
    note("extended", { deadlineMs: deadline.hrMs, guardianPid: guardian.pid });
    child.extend(deadline);
    if (options.says === true) say("still there");
  }, options.ttlMs / 6);
  const timers: NodeJS.Timeout[] = [];
  if (options.loseAtMs !== undefined) {
    const lose = (): void => {
      note("lost");
      child.lose();
    };
    timers.push(setTimeout(lose, options.loseAtMs));
  }
  if (options.blockAtMs !== undefined) {
    const block = (): void => {
      note("blocked");
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3 * options.ttlMs);
    };
    timers.push(setTimeout(block, options.blockAtMs));
  }
  const end = await child.ended;
  note("ended", end);
  clearInterval(keeping);
  for (const timer of timers) clearTimeout(timer);
  return end;
}

const end = await run();
if ("message" in end) say(end.message);
endLike(end);
