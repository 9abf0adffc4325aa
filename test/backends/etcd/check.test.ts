// What should be changed of a cluster although it works is said to whoever can change it.

import { describe, expect, it } from "vitest";
import { CliHome } from "../../support/cli.js";
import { EtcdServer } from "../../support/servers/etcd.js";
import { missing, open } from "./stage.js";

describe.skipIf(missing !== undefined)("etcd's warnings", () => {
  it("are shown by `backend check`, and logged by a daemon, once", async () => {
    await using server = await EtcdServer.start();
    await using backend = await open(`127.0.0.1:${String(server.port)}`);
    await backend.check();
    await using home = await CliHome.make();
    const file = await home.file(
      "locks.toml",
      `[default]\nbackend = "e"\n[backend.e]\ntype = "etcd"\nhost = "127.0.0.1"\nport = ${String(server.port)}\n`,
    );
    const { code, stdout } = await home.run(["backend", "check", "-c", file]);
    expect(code, stdout).toBe(0);
    expect(stdout.match(/^e: warning: .*$/gmu) ?? []).toEqual(
      backend.warnings.map((warning) => `e: warning: ${warning}`),
    );
    const { running, address } = await home.daemon(["-c", file]);
    for (let look = 0; look < 3; look++) {
      expect((await fetch(`http://${address}/readyz`)).status).toBe(200);
    }
    running.kill("SIGTERM");
    const { stderr } = await running.ended;
    for (const warning of backend.warnings) expect(stderr.split(`e: ${warning}`)).toHaveLength(2);
  });
});
