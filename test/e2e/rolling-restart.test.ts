import { describe, test } from "vitest";
import { HoldHome } from "../support/hold-cli.js";
import { rollingRestart } from "../support/rolling-restart.js";

describe("a thousand holds under three daemons over one file", { timeout: 120_000 }, () => {
  test.each(["SIGTERM", "SIGKILL"] as const)(
    "each ended by %s and replaced on its port: none is lost, and no token changes",
    async (signal) => {
      await using home = await HoldHome.make();
      await rollingRestart((address) => home.daemon(address), signal);
    },
  );
});
