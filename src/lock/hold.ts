// What a holder and a daemon say to each other on a Hold stream, in the domain's words.
// The protocol's sentences are in proto/stormlock/v1/lock.proto.

import type { Lease } from "./lease.js";

export type HolderSays =
  | {
      readonly kind: "acquire";
      readonly resource: string;
      readonly leaseId: string;
      readonly principal: string;
      /** Undefined means the policy's default. */
      readonly ttlMs: number | undefined;
      /** Infinity means without limit. */
      readonly waitMs: number;
      readonly reason: string;
      readonly labels: Readonly<Record<string, string>>;
    }
  | { readonly kind: "resume"; readonly resource: string; readonly leaseId: string }
  | { readonly kind: "release"; readonly resource: string; readonly leaseId: string }
  | { readonly kind: "heartbeat"; readonly seq: number };

export type DenialReason =
  | "lock-held"
  | "lease-lost"
  | "invalid-field"
  | "not-allowed"
  | "unavailable"
  | "already-on-stream";

export type LossCause = "not-held" | "expired" | "resumed-elsewhere";

export interface LeaseValidity {
  readonly leaseId: string;
  /** Counted from the heartbeat that the message echoes. */
  readonly validForMs: number;
}

export type DaemonSays =
  | {
      readonly kind: "queued";
      readonly resource: string;
      readonly position: number;
      readonly holder: Lease | undefined;
      readonly ttlMs: number;
    }
  | {
      readonly kind: "granted";
      readonly lease: Lease;
      readonly seq: number;
      /** Counted from the heartbeat with that seq. */
      readonly validForMs: number;
    }
  | {
      readonly kind: "denied";
      readonly resource: string;
      readonly leaseId: string;
      readonly reason: DenialReason;
      readonly message: string;
      readonly holder: Lease | undefined;
    }
  | {
      readonly kind: "heartbeat-ack";
      readonly seq: number;
      readonly validShare: number;
      readonly behind: readonly LeaseValidity[];
    }
  | {
      readonly kind: "lost";
      readonly resource: string;
      readonly leaseId: string;
      readonly cause: LossCause;
    }
  | {
      readonly kind: "released";
      readonly resource: string;
      readonly leaseId: string;
      readonly outcome: "released" | "not-held";
    }
  | { readonly kind: "draining"; readonly resumeWithinMs: number };

/** The longest pause between two heartbeats, however long the leases live. */
export const LONGEST_PERIOD_MS = 15_000;

/** How often a holder sends a heartbeat: three chances within the shortest ttl. */
export function heartbeatPeriodMs(smallestTtlMs: number): number {
  return Math.min(smallestTtlMs / 3, LONGEST_PERIOD_MS);
}
