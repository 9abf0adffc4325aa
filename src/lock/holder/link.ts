// The way from a holder to a daemon, whatever it is made of.

import type { LockError } from "../errors.js";
import type { DaemonSays, HolderSays } from "../hold.js";

/** One open stream to a daemon. */
export interface HoldLink {
  say(message: HolderSays): void;
  /** Ends the stream. Nothing is heard afterwards. */
  close(): void;
}

export interface LinkEvents {
  heard(message: DaemonSays): void;
  /** The stream has ended, or could not be opened. */
  closed(error: LockError): void;
}

/** Opens a stream to one address. Never throws: what goes wrong comes by `closed`, later. */
export type OpenLink = (events: LinkEvents) => HoldLink;
