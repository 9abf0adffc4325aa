// The single file, where there is no Node, no PATH and nothing beside it.

import { cp, mkdir, readFile, symlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { COMMANDS } from "../cmd/stormlock/commands.js";
import { connect } from "../src/index.js";
import { CliHome, type Ended, type Running } from "../test/support/cli.js";
import { freePort } from "../test/support/free-port.js";
import { isAlive } from "../test/support/hold-cli.js";
import { stores, titleOf } from "../test/support/stores.js";
import { BINARY, missingBinary, prepareBinary } from "./support/binary.js";

const absent = missingBinary();
let home: CliHome;

beforeAll(async () => {
  if (absent === undefined) await prepareBinary();
  home = await CliHome.make();
}, 660_000);
afterAll(() => home[Symbol.asyncDispose]());

const BARE = { program: [BINARY], env: { PATH: "/nonexistent" } };

const run = (argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> =>
  home.run(argv, { ...BARE, env: { ...BARE.env, ...env } });

const start = (argv: readonly string[]): Running => home.start(argv, BARE);

const title = `the single file${absent === undefined ? "" : ` (skipped: ${absent})`}`;

describe.skipIf(absent !== undefined)(title, () => {
  it("tells its version, helps with every command, and completes them", async () => {
    const { version } = JSON.parse(await readFile("package.json", "utf8")) as { version: string };
    expect(await run(["--version"])).toMatchObject({ code: 0, stdout: `stormlock ${version}\n` });
    for (const { name, summary } of COMMANDS) {
      const { code, stdout } = await run([name, "--help"]);
      expect({ name, code }).toEqual({ name, code: 0 });
      expect(stdout.replaceAll(/\s+/gu, " ")).toContain(summary);
    }
    expect((await run(["completion", "bash"])).stdout).toContain("complete -F _stormlock");
  });

  it("runs what was compiled of it beforehand, and warns of nothing", async () => {
    const { code, stderr } = await run(["config", "check"], { STORMLOCK_DEBUG: "1" });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  it("does not heed options that were meant for another Node", async () => {
    const { code, stderr } = await run(["--version"], { NODE_OPTIONS: "--no-such-option" });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  it("copies itself to where it is told", async () => {
    const copy = join(home.path, "copied");
    expect((await run(["copy", copy])).code).toBe(0);
    const { code } = await home.run(["--version"], { ...BARE, program: [copy] });
    expect(code).toBe(0);
  });

  it("takes a lock, keeps it, and gives it back, with the store that lies within", async () => {
    const id = (await run(["acquire", "story", "--ttl", "5m"])).stdout.trim();
    expect(id).toMatch(/^[0-9a-f]{32}$/u);
    expect((await run(["acquire", "story"])).code).toBe(2);
    expect((await run(["is-held", "story", id])).code).toBe(0);
    expect((await run(["renew", "story", id])).code).toBe(0);
    expect((await run(["current", "story", "--id-only"])).stdout.trim()).toBe(id);
    expect((await run(["release", "story", id])).code).toBe(0);
    expect((await run(["is-held", "story", id])).code).toBe(1);
  });

  it("runs a command under a lock, and ends as that ends", async () => {
    const shell = ["/bin/sh", "-c", 'echo "$STORMLOCK_FENCING_TOKEN"; exit 7'];
    const { code, stdout } = await run(["hold", "job", "--", ...shell]);
    expect(code).toBe(7);
    expect(stdout).toMatch(/^\d+\n$/u);
    expect((await run(["current", "job"])).code).toBe(1);
  });

  it("guards the command: when it is killed, the command is gone before the next one begins", async () => {
    const noted = join(home.path, "pid");
    const wrapper = start([
      ...["hold", "guarded", "--ttl", "5s", "--", "/bin/sh", "-c"],
      `trap '' TERM; echo $$ > ${noted}; while :; do /bin/sleep 1; done`,
    ]);
    const pidOf = async (): Promise<number> =>
      Number(await readFile(noted, "utf8").catch(() => ""));
    await expect.poll(pidOf, { timeout: 30_000 }).toBeGreaterThan(1);
    const pid = await pidOf();
    expect(isAlive(pid)).toBe(true);
    wrapper.kill("SIGKILL");
    const next = await run(["acquire", "guarded", "--wait", "60s"]);
    expect(next.code).toBe(0);
    expect(isAlive(pid)).toBe(false);
  });

  it("serves, and what it has granted is still held after a restart", async () => {
    const listen = ["--listen", `127.0.0.1:${String(await freePort())}`];
    const first = await home.daemon(listen, BARE);
    const ask = ["--server", first.address];
    expect((await run(["health", ...ask])).code).toBe(0);
    const { stdout: id } = await run(["acquire", "durable", "--ttl", "10m", ...ask]);
    {
      await using locks = connect({ servers: [first.address] });
      const result = await locks.hold("streamed", { ttlMs: 30_000 });
      expect(result.kind).toBe("granted");
      if (result.kind === "granted") await result.hold[Symbol.asyncDispose]();
    }
    first.running.kill("SIGTERM");
    expect(await first.running.ended).toMatchObject({ code: 0, signal: null });
    const second = await home.daemon(listen, BARE);
    expect((await run(["is-held", "durable", id.trim(), ...ask])).code).toBe(0);
    second.running.kill("SIGTERM");
    expect((await second.running.ended).code).toBe(0);
  });

  it("describes itself by reflection, and answers pages, without a file to read from", async () => {
    const { running, address } = await home.daemon([], BARE);
    const asked = await home.run(
      [
        ...["curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", "{}"],
        `http://${address}/grpc.health.v1.Health/Check`,
      ],
      { program: [process.execPath, resolve("node_modules/@bufbuild/buf/bin/buf")] },
    );
    expect(JSON.parse(asked.stdout), asked.stderr).toEqual({ status: "SERVING" });
    for (const page of ["healthz", "readyz", "metrics"])
      expect((await fetch(`http://${address}/${page}`)).status).toBe(200);
    running.kill("SIGTERM");
    await running.ended;
  });

  describe("with a plug-in", () => {
    it.each([
      ["its file's path", "PATH"],
      ["its package's name", "stormlock-journal"],
    ])("named by %s keeps locks there", async (_how, named) => {
      const folder = join(home.path, named, "node_modules/stormlock-journal");
      await mkdir(join(home.path, named));
      await cp(resolve("docs/examples/plug-in"), folder, { recursive: true });
      await symlink(resolve("."), join(home.path, named, "node_modules/stormlock"));
      const type = named === "PATH" ? join(folder, "index.js") : named;
      const config = await home.file(
        `${named}/c.toml`,
        `[default]\nbackend = "j"\n[backend.j]\ntype = "${type}"\npath = "${home.path}/${named}/j"\n`,
      );
      const { code, stderr } = await run(["acquire", "x", "-c", config]);
      expect({ code, stderr }).toMatchObject({ code: 0 });
      expect((await run(["current", "x", "-c", config])).code).toBe(0);
    });
  });

  describe.each(stores)("on $type", (kind) => {
    it.skipIf(kind.missing !== undefined)(
      `${titleOf(kind)} plays a lock's whole life`,
      async () => {
        await using store = await kind.start();
        const file = await home.file(`${kind.type}.toml`, store.toml);
        const checked = await run(["backend", "check", "-c", file], store.env);
        expect(checked, checked.stdout).toMatchObject({ code: 0 });
        const { running, address } = await home.daemon(["-c", file], {
          ...BARE,
          env: { ...BARE.env, ...store.env },
        });
        const ask = ["--server", address];
        const id = (await run(["acquire", "x", ...ask])).stdout.trim();
        expect((await run(["renew", "x", id, ...ask])).code).toBe(0);
        expect((await run(["release", "x", id, ...ask])).code).toBe(0);
        running.kill("SIGTERM");
        expect((await running.ended).code).toBe(0);
      },
    );
  });
});
