import type { Backend } from "../../../src/lock/backend.js";
import { LockManager } from "../../../src/lock/daemon/manager.js";
import { Policy } from "../../../src/lock/policy.js";
import { HoldHub } from "../../../src/lock/daemon/hold-hub.js";
import { openLog } from "../../../src/rpc/log.js";
import { serve, type ServeOptions, type Server } from "../../../src/rpc/serve.js";
import { LockService } from "../../../src/rpc/service.js";
import { systemClock } from "../../../src/system-clock.js";
import { MemoryStore } from "../../support/memory-backend.js";

/** A daemon in this process, on a port of its own, over a store in memory. */
export interface Daemon extends AsyncDisposable {
  readonly server: Server;
  readonly locks: LockManager;
  readonly holds: HoldHub;
  /** `127.0.0.1:PORT`, or whatever it was told to listen on. */
  readonly address: string;
  readonly port: number;
  /** Everything that was logged, at every level. */
  readonly log: string[];
}

export async function startDaemon(
  options: Partial<ServeOptions> = {},
  store: Backend = new MemoryStore(systemClock).open(),
): Promise<Daemon> {
  const locks = new LockManager({
    clock: systemClock,
    policy: new Policy(),
    backends: new Map([["default", store]]),
  });
  const holds = new HoldHub(locks);
  const log: string[] = [];
  const server = await serve({
    service: new LockService(locks),
    holds,
    locks,
    clock: systemClock,
    log: openLog("debug", { write: (line) => log.push(line) }),
    check: () => store.check(),
    listen: ["127.0.0.1:0"],
    ...options,
  });
  const address = server.addresses[0] ?? "";
  return {
    server,
    locks,
    holds,
    address,
    port: Number(/:([0-9]+)$/u.exec(address)?.[1] ?? 0),
    log,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
