// Time as the embedded store needs it: the same for every process of this host, never going
// back, and with a name for the boot that it counts from.

import { readFileSync, readlinkSync } from "node:fs";
import { uptime } from "node:os";
import { LockError } from "../../lock/errors.js";

export interface HostClock {
  /** Names this boot of this host: monotonic times of two boots cannot be compared. */
  readonly bootId: string;
  /** µs since some moment of this boot, the same moment for every process. Stands still while
   *  the machine is suspended. µs, since ns would pass 2^53 after 104 days of uptime. */
  monotonicUs(): number;
  /** For how long the machine has been suspended in this boot, or less, never more. */
  suspendedUs(): number;
  /** µs since 1970. */
  wallUs(): number;
}

// A wall clock that is off by centuries must not push tokens past 2^53, where numbers lose
// their units; the room above is for the tokens that follow one another from there.
const LARGEST_WALL_US = 2 ** 53 - 2 ** 40;

// macOS and others give the uptime in whole seconds.
const UPTIME_STEP_US = process.platform === "linux" ? 10_000 : 1_000_000;

/** This host's clock. */
export function openHostClock(bootId = readBootId()): HostClock {
  return {
    bootId,
    monotonicUs,
    suspendedUs: () => {
      // The uptime counts suspended time but comes in coarse steps, rounded down; the
      // difference to the fine clock, read after it, is therefore never too large. Where
      // the uptime is a container's own it is smaller than the host's: no suspension then.
      const uptimeUs = uptime() * 1_000_000 - (UPTIME_STEP_US > 10_000 ? UPTIME_STEP_US : 0);
      return Math.max(0, Math.round(uptimeUs - monotonicUs()));
    },
    wallUs: () => Math.min(Date.now() * 1000, LARGEST_WALL_US),
  };
}

/** Counts from the boot on Linux and macOS, so it is comparable between processes. */
export function monotonicUs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000_000 + Math.floor(nanoseconds / 1000);
}

// The time namespace that every process is in unless somebody made another.
const INITIAL_TIME_NAMESPACE = "time:[4026531834]";

function readBootId(): string {
  try {
    if (process.platform === "darwin") {
      // Not kern.boottime: that moves when somebody sets the wall clock.
      // Loaded here: it takes as long as opening the store, and Linux has no use for it.
      const { execFileSync } = process.getBuiltinModule("node:child_process");
      const uuid = execFileSync("/usr/sbin/sysctl", ["-n", "kern.bootsessionuuid"], {
        encoding: "utf8",
        timeout: 2000,
      });
      return uuid.trim();
    }
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const namespace = timeNamespace();
    return namespace === INITIAL_TIME_NAMESPACE ? boot : `${boot} ${namespace}`;
  } catch (error) {
    throw new LockError(
      "unavailable",
      "the embedded store cannot tell one boot of this machine from another: it needs /proc/sys/kernel/random/boot_id (Linux) or sysctl kern.bootsessionuuid (macOS); use another backend here",
      { cause: error },
    );
  }
}

// A container may have a monotonic clock of its own, and then a "boot" of its own. Kernels
// before 5.6 have no time namespaces.
function timeNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/time");
  } catch {
    return INITIAL_TIME_NAMESPACE;
  }
}
