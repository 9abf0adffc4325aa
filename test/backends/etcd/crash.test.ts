import { describe, expect, it } from "vitest";
import { CliHome } from "../../support/cli.js";
import { EtcdServer } from "../../support/servers/etcd.js";
import { missing } from "./stage.js";

const TTL_MS = 3000;
// etcd looks for leases that have ended twice a second, and this machine may be busy.
const LATE_MS = 5000;

describe.skipIf(missing !== undefined)("a daemon on etcd that is killed", () => {
  it("leaves no lock, and no etcd lease, a ttl after its end", async () => {
    await using server = await EtcdServer.start();
    await using home = await CliHome.make();
    const section = `type = "etcd"\nhost = "127.0.0.1"\nport = ${String(server.port)}\n`;
    const file = await home.file("e.toml", `[default]\nbackend = "e"\n[backend.e]\n${section}`);
    const { running, address } = await home.daemon(["-c", file]);
    const acquire = async (name: string): Promise<string> => {
      const ended = await home.run(["acquire", name, "-t", "3s", "--server", address]);
      expect(ended).toMatchObject({ code: 0 });
      return ended.stdout.trim();
    };
    // One whose etcd lease is kept for the next lock, and two that are held when it dies.
    const released = await acquire("released");
    await acquire("held/1");
    await acquire("held/2");
    await home.run(["release", "released", released, "--server", address]);
    expect(await server.leases()).toBe(3);
    running.kill("SIGKILL");
    await expect.poll(() => server.leases(), { timeout: TTL_MS + LATE_MS, interval: 100 }).toBe(0);
    expect((await home.run(["list", "-c", file])).stdout).toBe("");
    expect(await home.run(["acquire", "held/1", "-c", file])).toMatchObject({ code: 0 });
  });
});
