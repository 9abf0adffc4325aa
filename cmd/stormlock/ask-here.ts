// No daemon: the same service as a daemon's, in this process.

import { existsSync } from "node:fs";
import type { Config } from "../../src/config/index.js";
import { openLocks } from "../../src/open.js";
import { HoldHub } from "../../src/lock/daemon/hold-hub.js";
import { InProcessTransport } from "../../src/rpc/in-process.js";
import { LockService } from "../../src/rpc/service.js";
import type { Transport } from "../../src/rpc/transport.js";
import { UnaryClient } from "../../src/rpc/unary-client.js";
import { systemClock } from "../../src/system-clock.js";
import { newLeaseId } from "./lease-id.js";
import type { Output } from "./output.js";

/**
 * A client of the backend that keeps a resource, or of all backends. Disposing it closes them.
 */
export async function askHere(
  config: Config,
  resource: string | undefined,
  output: Output,
  { patienceMs, isBrief }: { readonly patienceMs: number; readonly isBrief: boolean },
): Promise<UnaryClient> {
  const transport = await openHere(config, resource, output, { isBrief });
  return new UnaryClient({ transports: [transport], clock: systemClock, newLeaseId, patienceMs });
}

/** The same service as a daemon's, over the backends of this process. Disposing it closes them. */
export async function openHere(
  config: Config,
  resource: string | undefined,
  output: Output,
  { isBrief }: { readonly isBrief: boolean },
): Promise<Transport> {
  const sayIfMade = builtInStoreTeller(config, output);
  const locks = await openLocks({
    rules: config.policy,
    isBrief,
    backends: resource === undefined ? usable(config, output) : config.backends,
    ...(resource === undefined ? {} : { resource }),
  });
  sayIfMade(locks.backends.keys());
  const service = new LockService(locks.manager);
  const way = new InProcessTransport(service, new HoldHub(locks.manager), systemClock);
  return {
    unary: way.unary.bind(way),
    hold: way.hold.bind(way),
    [Symbol.asyncDispose]: async () => {
      await way[Symbol.asyncDispose]();
      await locks[Symbol.asyncDispose]();
    },
  };
}

// A list goes on without the backends that cannot be opened, but not silently.
function usable({ backends }: Config, output: Output): Config["backends"] {
  const open = new Map<string, NonNullable<ReturnType<typeof backends.get>>>();
  for (const [name, backend] of backends) {
    if (backend.problem === undefined) open.set(name, backend);
    else output.note(`not listed, what the backend ${name} keeps: ${backend.problem}`);
  }
  return open;
}

/** Says that the built-in store has been made, if it was not there and is then opened. */
export function builtInStoreTeller(
  { backends }: Config,
  output: Pick<Output, "note">,
): (opened: Iterable<string>) => void {
  const missing = new Map<string, string>();
  for (const [name, { isBuiltIn, settings }] of backends) {
    const path = settings["path"];
    if (isBuiltIn && typeof path === "string" && !existsSync(path)) missing.set(name, path);
  }
  return (opened) => {
    for (const name of opened) {
      const path = missing.get(name);
      if (path === undefined) continue;
      output.note(`using the local store ${path}: locks are shared by this user on this host only`);
    }
  };
}
