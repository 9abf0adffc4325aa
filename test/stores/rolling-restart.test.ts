import { describe, it } from "vitest";
import { CliHome } from "../support/cli.js";
import { rollingRestart } from "../support/rolling-restart.js";
import { stores, titleOf } from "../support/stores.js";

const SIGNALS = { postgresql: "SIGTERM", redis: "SIGKILL" } as const;

describe.each(Object.entries(SIGNALS))("a thousand holds over %s", (type, signal) => {
  const kind = stores.find((each) => each.type === type);
  if (kind === undefined) throw new Error(`there is no store ${type}`);

  it.skipIf(kind.missing !== undefined)(
    `under three daemons, each ended by ${signal} and replaced: ${titleOf(kind)} loses none`,
    { timeout: 120_000 },
    async () => {
      await using store = await kind.start();
      await using home = await CliHome.make();
      const config = await home.file("daemon.toml", store.toml);
      const start = (address = "127.0.0.1:0") =>
        home.daemon(["-c", config, "--listen", address], { env: store.env, mostMs: 300_000 });
      await rollingRestart(start, signal);
    },
  );
});
