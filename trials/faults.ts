import type { Way } from "./program.js";

export const FAULT_NAMES = [
  "wrapper-stop",
  "wrapper-kill",
  "wrapper-hup",
  "loop-block",
  "daemon-stop",
  "daemon-kill",
  "packets-drop",
  "store-stop",
] as const;
export type FaultName = (typeof FAULT_NAMES)[number];

export interface Fault {
  /** Whom it strikes: one wrapper, or what all trials of a round share. */
  readonly strikes: "wrapper" | "daemon" | "network" | "store";
  /** What it does, for people. */
  readonly title: string;
  /** How a wrapper must end that was struck. */
  readonly expected: Way;
  /** Whether no renewal can succeed from then on: so the deadline comes within a ttl. */
  readonly cutsRenewals: boolean;
}

const LOST = 76;

/** How the first holder's command ends when nobody ends it. */
export const HOLDER_CODE = 0;

/** The faults, and what each must lead to. */
export const FAULTS: Readonly<Record<FaultName, Fault>> = {
  "wrapper-stop": {
    ...{ strikes: "wrapper", title: "SIGSTOP of the wrapper" },
    ...{ expected: LOST, cutsRenewals: true },
  },
  "wrapper-kill": {
    ...{ strikes: "wrapper", title: "SIGKILL of the wrapper" },
    ...{ expected: "SIGKILL", cutsRenewals: true },
  },
  // It goes on to the command, which dies by it: an end in order, told like any other.
  "wrapper-hup": {
    ...{ strikes: "wrapper", title: "SIGHUP to the wrapper" },
    ...{ expected: "SIGHUP", cutsRenewals: false },
  },
  "loop-block": {
    ...{ strikes: "wrapper", title: "the wrapper's event loop blocked for 3 ttl" },
    ...{ expected: LOST, cutsRenewals: true },
  },
  "daemon-stop": {
    ...{ strikes: "daemon", title: "SIGSTOP of the daemon" },
    ...{ expected: LOST, cutsRenewals: true },
  },
  "daemon-kill": {
    ...{ strikes: "daemon", title: "SIGKILL of the daemon" },
    ...{ expected: LOST, cutsRenewals: true },
  },
  "packets-drop": {
    ...{ strikes: "network", title: "packets between wrapper and daemon dropped" },
    ...{ expected: LOST, cutsRenewals: true },
  },
  "store-stop": {
    ...{ strikes: "store", title: "the store stopped for 1.5 ttl" },
    ...{ expected: LOST, cutsRenewals: true },
  },
};

/**
 * The same for a lock without a lease, as flock has it: the kernel keeps it for whoever has the
 * file open, so nothing is lost while the command lives, and its end is told like any other.
 */
export function withoutLease(fault: Fault): Fault {
  const expected = fault.expected === LOST ? HOLDER_CODE : fault.expected;
  return { ...fault, expected, cutsRenewals: false };
}

/** What the command of a trial starts, see command.pl; all faults meet all of them. */
export const SHAPES = ["plain", "stubborn", "double-fork", "setsid"] as const;
export type Shape = (typeof SHAPES)[number];
