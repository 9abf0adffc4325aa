import { afterAll, beforeAll } from "vitest";
import { connect, type LockClient } from "../../src/index.js";
import type { DaemonProcess } from "./cli.js";
import { HoldHome } from "./hold-cli.js";

/** What the tests of a file share: a home, a daemon, and somebody else who takes locks from it. */
export interface HoldScene {
  readonly home: HoldHome;
  readonly daemon: DaemonProcess;
  readonly client: LockClient;
  /** The name of a resource that nobody has used. */
  readonly fresh: () => string;
}

/**
 * Set up before the first test of the file, and taken down after the last.
 * @param principal who takes the locks
 * @param prefix what the names of resources begin with
 */
export function holdScene(principal: string, prefix: string): HoldScene {
  let parts: Omit<HoldScene, "fresh"> | undefined;
  let count = 0;
  const set = (): Omit<HoldScene, "fresh"> => {
    if (parts === undefined) throw new Error("the scene is set up by beforeAll only");
    return parts;
  };
  beforeAll(async () => {
    const home = await HoldHome.make();
    const daemon = await home.daemon();
    parts = { home, daemon, client: connect({ servers: [daemon.address], principal }) };
  });
  afterAll(async () => {
    await parts?.client[Symbol.asyncDispose]();
    await parts?.home[Symbol.asyncDispose]();
  });
  return {
    get home() {
      return set().home;
    },
    get daemon() {
      return set().daemon;
    },
    get client() {
      return set().client;
    },
    fresh: () => `${prefix}${String((count += 1))}`,
  };
}
