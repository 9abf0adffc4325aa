// `stormlock hold --sidecar`: what it shows, for how long, and how it ends.

import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { Agent } from "node:http";
import { join } from "node:path";
import { describe, test } from "vitest";
import type { Hold } from "../../src/index.js";
import { PROGRAM, type Running } from "../support/cli.js";
import { pageOf } from "../support/held-page.js";
import { childrenOf, guardianOf, hostMs, pause, until } from "../support/hold-cli.js";
import { holdScene } from "../support/hold-scene.js";
import { Proxy } from "../support/proxy.js";

const scene = holdScene("bob", "side-");

/** A sidecar, and the files that it shows in a folder of its own. */
interface Sidecar {
  readonly running: Running;
  readonly folder: string;
  readonly token: string;
  readonly ready: string;
  /** Where it answers. */
  readonly address: () => Promise<string>;
}

function sidecar(
  resources: readonly string[],
  {
    servers = [scene.daemon.address],
    ttl = "10s",
    flags = [] as readonly string[],
    folder = "",
  } = {},
): Sidecar {
  const own = folder === "" ? join(scene.home.cli.path, `${resources[0] ?? ""}.d`) : folder;
  mkdirSync(own, { recursive: true });
  const [token, ready] = [join(own, "token"), join(own, "ready")];
  const running = scene.home.cli.start(
    [
      ...["hold", ...resources, "--sidecar", "--server", servers.join(","), "--ttl", ttl],
      ...["--token-file", token, "--ready-file", ready, "--http", "127.0.0.1:0", ...flags],
    ],
    { program: ["setsid", process.execPath, PROGRAM] },
  );
  const address = async (): Promise<string> =>
    (await running.stderrMatches(/answering on http:\/\/(.+)\/held/u))[1] ?? "";
  return { running, folder: own, token, ready, address };
}

function isReady({ ready }: Sidecar): Promise<boolean> {
  return until("it is ready", () => scene.home.has(ready));
}

/** When the files were seen to be gone, by the host's clock. */
async function goneAtMs(one: Sidecar): Promise<number> {
  await until("the files are gone", () => !scene.home.has(one.ready) && !scene.home.has(one.token));
  return hostMs();
}

async function heldByBob(resource: string, waitMs = 60_000): Promise<Hold> {
  const result = await scene.client.hold(resource, { ttlMs: 60_000, waitMs });
  if (result.kind !== "granted") throw new Error(result.message);
  return result.hold;
}

describe("a sidecar", { concurrent: true }, () => {
  test("shows the token and that it holds, until SIGTERM; then it gives back and exits 0", async ({
    expect,
  }) => {
    const name = scene.fresh();
    const one = sidecar([name], { flags: ["--json"] });
    await isReady(one);
    const lease = await scene.client.current(name);
    const token = String(lease?.token);
    expect(scene.home.read(one.token)).toBe(`${token}\n`);
    expect(scene.home.read(one.ready)).toBe("");
    const plain = join(scene.home.cli.path, `${name}.plain`);
    writeFileSync(plain, "", { mode: 0o644 });
    expect(statSync(one.token).mode).toBe(statSync(plain).mode);
    expect(readdirSync(one.folder).sort()).toEqual(["ready", "token"]);
    const page = await pageOf(await one.address(), "/held");
    expect(page).toEqual({
      status: 200,
      body: { held: true, resource: name, token, valid_for_ms: expect.any(Number) as number },
    });
    expect(page?.body["valid_for_ms"]).toBeLessThan(10_000);
    expect(page?.body["valid_for_ms"]).toBeGreaterThan(0);
    one.running.kill("SIGTERM");
    const ended = await one.running.ended;
    expect(ended).toMatchObject({ code: 0, signal: null, stdout: "" });
    expect(readdirSync(one.folder)).toEqual([]);
    expect(await scene.client.current(name)).toBeUndefined();
    const lines = ended.stderr.trim().split("\n");
    expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({
      ...{ locks: [{ resource: name, token }], ended: "released", exit_code: 0 },
    });
  });

  test("of several locks shows a line for each, in the order of the names", async ({ expect }) => {
    const [a, b] = [scene.fresh(), scene.fresh()];
    const one = sidecar([b, a]);
    await isReady(one);
    const tokens = await Promise.all(
      [a, b].map(async (name) => (await scene.client.current(name))?.token),
    );
    const locks = [a, b].map((resource, at) => ({ resource, token: String(tokens[at]) }));
    expect(scene.home.read(one.token)).toBe(
      locks.map(({ resource, token }) => `${resource}\t${token}\n`).join(""),
    );
    expect((await pageOf(await one.address(), "/held"))?.body).toMatchObject({ held: true, locks });
    one.running.kill("SIGTERM");
    expect((await one.running.ended).code).toBe(0);
  });

  test("shows nothing while it waits, not even what an earlier run has left", async ({
    expect,
  }) => {
    const name = scene.fresh();
    const held = await heldByBob(name);
    const folder = join(scene.home.cli.path, `${name}.d`);
    mkdirSync(folder);
    for (const file of ["token", "ready"]) writeFileSync(join(folder, file), "12\n");
    const one = sidecar([name]);
    await one.running.stderrMatches(/you are 1st/u);
    expect(readdirSync(folder)).toEqual([]);
    const address = await one.address();
    expect(await pageOf(address, "/held")).toEqual({
      ...{ status: 503, body: { held: false, resource: name } },
    });
    expect(await pageOf(address, "/healthz")).toMatchObject({ status: 200 });
    await held.release();
    await isReady(one);
    one.running.kill("SIGINT");
    expect((await one.running.ended).signal).toBe("SIGINT");
    expect(readdirSync(folder)).toEqual([]);
    expect(await scene.client.current(name)).toBeUndefined();
  });

  test("that is told to end while it waits says so with 143", async ({ expect }) => {
    const name = scene.fresh();
    await using _held = await heldByBob(name);
    const one = sidecar([name]);
    await one.running.stderrMatches(/you are 1st/u);
    one.running.kill("SIGTERM");
    expect((await one.running.ended).code).toBe(143);
  });

  test("that cannot have it ends like a command's hold", async ({ expect }) => {
    const name = scene.fresh();
    await using _held = await heldByBob(name);
    const one = sidecar([name], { flags: ["-n", "-E", "5"] });
    const other = sidecar([scene.fresh()], { servers: ["127.0.0.1:1"] });
    expect((await one.running.ended).code).toBe(5);
    expect((await other.running.ended).code).toBe(69);
    expect(readdirSync(other.folder)).toEqual([]);
  });
});

describe("when the lock is lost", { concurrent: true }, () => {
  test("all that says otherwise goes first, and the code is 76", async ({ expect }) => {
    const name = scene.fresh();
    await using proxy = await Proxy.open(scene.daemon.address);
    const one = sidecar([name], { servers: [proxy.address], ttl: "2s" });
    await isReady(one);
    const address = await one.address();
    // Whoever is next stands in line already.
    const next = heldByBob(name).then((hold) => ({ hold, atMs: hostMs() }));
    proxy.freeze();
    const goneMs = await goneAtMs(one);
    // It may have exited by now, which is no answer; what it must not say is yes.
    const page = await pageOf(address, "/held");
    if (page !== undefined) expect(page).toMatchObject({ status: 503, body: { held: false } });
    const { hold, atMs } = await next;
    expect(goneMs).toBeLessThan(atMs);
    expect((await one.running.ended).code).toBe(76);
    await hold.release();
  });

  test.for(["SIGSTOP", "SIGKILL"] as const)(
    "because of a %s, the files are gone before the next holder comes",
    async (signal, { expect }) => {
      const name = scene.fresh();
      const one = sidecar([name], { ttl: "2s" });
      await isReady(one);
      const next = heldByBob(name).then((hold) => ({ hold, atMs: hostMs() }));
      one.running.kill(signal);
      const goneMs = await goneAtMs(one);
      const { hold, atMs } = await next;
      expect(goneMs).toBeLessThan(atMs);
      expect(readdirSync(one.folder)).toEqual([]);
      if (signal === "SIGSTOP") {
        one.running.kill("SIGCONT");
        expect((await one.running.ended).code).toBe(76);
        expect(readdirSync(one.folder)).toEqual([]);
      }
      await hold.release();
    },
  );

  // The request lies there when it wakes, beside timers that are overdue, and no guardian's word.
  test("while it was stopped, the first thing that it answers is no", async ({ expect }) => {
    const name = scene.fresh();
    // It contends again, so that it is there to answer.
    const running = scene.home.cli.start([
      ...["hold", name, "--sidecar", "--server", scene.daemon.address, "--ttl", "2s"],
      ...["--http", "127.0.0.1:0", "--again"],
    ]);
    await running.stderrMatches(/holding/u);
    const [, address = ""] = await running.stderrMatches(/answering on http:\/\/(.+)\/held/u);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    expect((await pageOf(address, "/held", { agent }))?.status).toBe(200);
    running.kill("SIGSTOP");
    await using _held = await heldByBob(name);
    const page = pageOf(address, "/held", { agent, timeout: 30_000 });
    await pause(100);
    running.kill("SIGCONT");
    // After a long stop the connection is closed instead, and whoever asked asks again.
    const answered = (await page) ?? (await pageOf(address, "/held"));
    expect(answered).toMatchObject({ status: 503, body: { held: false } });
    agent.destroy();
    await running.stderrMatches(/was lost: contending again/u);
    running.kill("SIGTERM");
    expect((await running.ended).code).toBe(143);
  });

  test("a guardian that is late leaves the next run's files alone", async ({ expect }) => {
    const name = scene.fresh();
    const one = sidecar([name], { ttl: "2s" });
    await isReady(one);
    const guardian = guardianOf(one.running.pid);
    process.kill(guardian, "SIGSTOP");
    one.running.kill("SIGKILL");
    await one.running.ended;
    const other = sidecar([name], { ttl: "10s", folder: one.folder });
    await other.running.stderrMatches(/holding/u);
    const token = scene.home.read(other.token);
    process.kill(guardian, "SIGCONT");
    await until(
      "the old guardian has left",
      () => !scene.home.has(`/proc/${String(guardian)}/cwd`),
    );
    expect(scene.home.has(other.ready)).toBe(true);
    expect(scene.home.read(other.token)).toBe(token);
    expect(token).toBe(`${String((await scene.client.current(name))?.token)}\n`);
    other.running.kill("SIGTERM");
    expect((await other.running.ended).code).toBe(0);
  });

  test("a killed guardian is replaced, and the new one removes the files", async ({ expect }) => {
    const name = scene.fresh();
    const one = sidecar([name], { ttl: "3s" });
    await isReady(one);
    const guardian = guardianOf(one.running.pid);
    process.kill(guardian, "SIGKILL");
    await until("there is another", () => {
      const now = childrenOf(one.running.pid);
      return now.length > 0 && !now.includes(guardian);
    });
    await pause(1000);
    one.running.kill("SIGKILL");
    await goneAtMs(one);
    expect(readdirSync(one.folder)).toEqual([]);
  });

  test("with --again it contends again, and shows a token that is greater", async ({ expect }) => {
    const name = scene.fresh();
    await using proxy = await Proxy.open(scene.daemon.address);
    const one = sidecar([name], { servers: [proxy.address], ttl: "2s", flags: ["--again"] });
    await isReady(one);
    const first = BigInt(scene.home.read(one.token).trim());
    const address = await one.address();
    proxy.freeze();
    await goneAtMs(one);
    // Nobody answers for longer than a first ask would wait for.
    await one.running.stderrMatches(/asking again/u);
    const held = await heldByBob(name);
    proxy.pass({ kind: "free" });
    expect(await pageOf(address, "/held")).toMatchObject({ status: 503, body: { held: false } });
    await held.release();
    await isReady(one);
    const token = scene.home.read(one.token).trim();
    expect(BigInt(token)).toBeGreaterThan(first);
    expect((await pageOf(address, "/held"))?.body).toMatchObject({ held: true, token });
    one.running.kill("SIGTERM");
    expect((await one.running.ended).code).toBe(0);
    expect(readdirSync(one.folder)).toEqual([]);
  });

  test("with --again a signal ends the pause at once", async ({ expect }) => {
    const name = scene.fresh();
    await using proxy = await Proxy.open(scene.daemon.address);
    const one = sidecar([name], { servers: [proxy.address], ttl: "1s", flags: ["--again"] });
    await isReady(one);
    proxy.freeze();
    await one.running.stderrMatches(/asking again/u);
    one.running.kill("SIGTERM");
    const ended = await one.running.ended;
    expect(ended.code).toBe(143);
  });
});

describe("its door", { concurrent: true }, () => {
  test("answers nothing but what it is asked for, and no page of another site", async ({
    expect,
  }) => {
    const one = sidecar([scene.fresh()]);
    await isReady(one);
    const address = await one.address();
    expect((await pageOf(address, "/held?x=1"))?.status).toBe(200);
    expect(await pageOf(address, "/held", { method: "HEAD" })).toEqual({ status: 200, body: {} });
    expect((await pageOf(address, "/held", { method: "POST" }))?.status).toBe(405);
    expect((await pageOf(address, "/"))?.status).toBe(404);
    const rebound = { headers: { host: "attacker.example" } };
    expect((await pageOf(address, "/held", rebound))?.status).toBe(403);
    one.running.kill("SIGTERM");
    expect((await one.running.ended).code).toBe(0);
  });

  test("is on this machine alone, unless told otherwise", async ({ expect }) => {
    const run = (...flags: string[]): Promise<{ code: number; stderr: string }> =>
      scene.home.cli.run([
        "hold",
        scene.fresh(),
        "--sidecar",
        "--server",
        scene.daemon.address,
        ...flags,
      ]);
    const open = await run("--http", "0.0.0.0:0");
    expect(open.code).toBe(64);
    expect(open.stderr).toMatch(/can be reached from other machines/u);
    const taken = await run("--http", scene.daemon.address);
    expect(taken.code).toBe(64);
    expect(taken.stderr).toMatch(/is in use/u);
    const one = sidecar([scene.fresh()], { flags: ["--insecure"] });
    await isReady(one);
    one.running.kill("SIGTERM");
    expect((await one.running.ended).code).toBe(0);
  });
});

describe("what does not go together is refused before anything is taken", () => {
  test.for([
    [["a", "--sidecar", "--", "true"], /--sidecar runs no command: leave "true" out/u],
    [["a", "--sidecar", "--grace", "1s"], /--grace is for a command/u],
    [["a", "--sidecar", "--on-lost", "warn"], /--on-lost is for a command/u],
    [["a", "--token-file", "t", "true"], /--token-file is for --sidecar/u],
    [["a", "--again", "true"], /--again is for --sidecar/u],
    [["a", "--sidecar", "--token-file", "t", "--ready-file", "t"], /name the same file/u],
    [["a", "--sidecar", "--token-file", "/no/such/dir/t"], /its directory does not exist/u],
    [["a", "--sidecar", "--ready-file", "/proc"], /the file \/proc cannot be written/u],
    [["a", "--sidecar", "--ready-file", "/proc/self/x"], /the file \/proc\/self\/x cannot/u],
  ] as const)("%j", async ([words, complaint], { expect }) => {
    const ended = await scene.home.cli.run(["hold", ...words, "--server", scene.daemon.address]);
    // What stands behind the command is the command's.
    expect(ended).toMatchObject({ code: 64, stdout: "" });
    expect(ended.stderr).toMatch(complaint);
  });
});
