// As ask.ts, for a command that keeps what it takes: over a stream, or over the sessions of this
// process.

import { LockClient } from "../../src/rpc/client.js";
import { systemClock } from "../../src/system-clock.js";
import { askWith, type Asked, type OpenClient } from "./ask.js";
import type { Scene, Words } from "./command.js";

/**
 * Asks somebody who can be asked to hold locks, and closes what was opened for it.
 * @param resource the only one that will be asked about; undefined for any
 */
export async function keepLocks(
  words: Words,
  scene: Scene,
  resource: string | undefined,
  ask: (asked: Asked<LockClient>) => Promise<number | NodeJS.Signals>,
): Promise<number | NodeJS.Signals> {
  return await askWith(openToKeep, words, scene, resource, ask);
}

const openToKeep: OpenClient<LockClient> = async (config, resource, output, patienceMs) => {
  if (config.client.servers.length > 0) {
    const { connectAsConfigured } = await import("./connect-as-configured.js");
    return await connectAsConfigured(config.client, patienceMs);
  }
  const { openHere } = await import("./ask-here.js");
  const transport = await openHere(config, resource, output, { isBrief: false });
  return new LockClient({ transports: [transport], clock: systemClock, patienceMs });
};
