// `stormlock hold` as a script sees it: exit codes, words, environment, pipes.

import { constants } from "node:os";
import { describe, expect, test } from "vitest";
import type { Hold } from "../../src/index.js";
import { PROGRAM } from "../support/cli.js";
import { HoldHome, hostMs, pause, until } from "../support/hold-cli.js";
import { holdScene } from "../support/hold-scene.js";
import { Proxy } from "../support/proxy.js";

const scene = holdScene("ann@ci-7", "r");
const withDaemon = (): { servers: string[]; ttl: string } => ({
  servers: [scene.daemon.address],
  ttl: "10s",
});

/** Somebody else holds it, for the length of a test. */
async function taken(resource: string): Promise<Hold> {
  const result = await scene.client.hold(resource, { ttlMs: 60_000, reason: "release 4.2" });
  if (result.kind !== "granted") throw new Error(result.message);
  return result.hold;
}

describe("the exit code", { concurrent: true }, () => {
  test("is the command's own, or 128+n, or that of a shell that cannot run it", async ({
    expect,
  }) => {
    const code = async (...command: string[]): Promise<number | NodeJS.Signals> => {
      const ended = await scene.home.run(scene.fresh(), withDaemon(), command);
      return ended.signal ?? ended.code;
    };
    const notAProgram = await scene.home.cli.file("no-program", "no program");
    const codes = await Promise.all([
      code("true"),
      code("sh", "-c", "exit 42"),
      code("sh", "-c", "kill -KILL $$"),
      code("sh", "-c", "kill -USR1 $$"),
      code("sh", "-c", "kill -TERM $$"),
      code("sh", "-c", "kill -INT $$"),
      code("no-such-command-anywhere"),
      code(notAProgram),
    ]);
    const { signals } = constants;
    expect(codes).toEqual([0, 42, 128 + 9, 128 + signals.SIGUSR1, "SIGTERM", "SIGINT", 127, 126]);
  });

  test("is 75 when somebody else holds it, at once or when the wait is over", async ({
    expect,
  }) => {
    const name = scene.fresh();
    await using held = await taken(name);
    const out = scene.home.path(name);
    const run = (...flags: string[]): ReturnType<HoldHome["run"]> =>
      scene.home.run(name, { ...withDaemon(), flags }, ["touch", out]);
    const startedMs = hostMs();
    const late = run("-w", "1500ms").then((ended) => ({ ...ended, tookMs: hostMs() - startedMs }));
    const ended = await run("-n");
    expect(ended).toMatchObject({ code: 75, stdout: "" });
    expect(ended.stderr).toMatch(
      new RegExp(`^stormlock: ${name} is held by ann@ci-7 since .* \\(release 4.2\\)$`, "mu"),
    );
    const waited = await late;
    expect(waited.code).toBe(75);
    expect(waited.tookMs).toBeGreaterThan(1500);
    expect(scene.home.has(out)).toBe(false);
    expect(held.isHeld).toBe(true);
  });

  test("is 69 when no daemon can be reached, and nothing is run", async ({ expect }) => {
    const startedMs = hostMs();
    const how = { servers: ["127.0.0.1:1"], ttl: "10s" };
    const ended = await scene.home.run(scene.fresh(), how, ["echo", "ran"]);
    expect(ended).toMatchObject({ code: 69, stdout: "" });
    expect(ended.stderr).toMatch(/127\.0\.0\.1:1 cannot be reached/u);
    expect(hostMs() - startedMs).toBeLessThan(8000);
  });

  test("is 76 when the lock was lost, even if the command then exits 0", async ({ expect }) => {
    await using proxy = await Proxy.open(scene.daemon.address);
    const name = scene.fresh();
    const how = { servers: [proxy.address], ttl: "3s", flags: ["--grace", "1s"] };
    const out = scene.home.path(name);
    const running = scene.home.hold(name, how, [
      ...["bash", "-c", 'trap "exit 0" TERM; touch "$0"; while :; do sleep 0.05; done', out],
    ]);
    await until("it runs", () => scene.home.has(out));
    proxy.freeze();
    const ended = await running.ended;
    expect(ended.code).toBe(76);
    expect(ended.stderr).toMatch(/was lost or about to be: the command was ended/u);
  });

  test.each([
    [
      "a grace that does not fit the ttl",
      ["-t", "3s", "--grace", "1001ms"],
      /--grace .* does not fit a ttl of 3s: give 1s at the most/u,
    ],
    ["a ttl under the least", ["-t", "900ms"], /ttl/u],
    ["a ttl that is no duration", ["-t", "5"], /ttl|duration/u],
    ["-n and -w together", ["-n", "-w", "1s"], /exclude each other/u],
    ["an unknown option", ["--sidecars"], /sidecars/u],
  ] as const)("is 64 for %s", async (_name, flags, words) => {
    const ended = await scene.home.run(scene.fresh(), { servers: [scene.daemon.address], flags }, [
      "echo",
      "ran",
    ]);
    expect(ended).toMatchObject({ code: 64, stdout: "" });
    expect(ended.stderr).toMatch(words);
  });

  test("is 64 for a resource given twice, a name that is none, and no command", async ({
    expect,
  }) => {
    const twice = await scene.home.run(["a", "b", "a"], withDaemon(), ["echo", "ran"]);
    expect(twice).toMatchObject({ code: 64, stdout: "" });
    expect(twice.stderr).toMatch(/RESOURCE "a" is given twice/u);
    const none = await scene.home.run("", withDaemon(), ["echo", "ran"]);
    expect(none).toMatchObject({ code: 64, stdout: "" });
    const empty = await scene.home.run("a", withDaemon(), []);
    expect(empty).toMatchObject({ code: 64, stdout: "" });
    expect(empty.stderr).toMatch(/no command is given/u);
  });
});

describe("a command under a lock", { concurrent: true }, () => {
  test("is told what it holds, and finds its lease held", async ({ expect }) => {
    const name = scene.fresh();
    const script =
      'echo "$STORMLOCK_RESOURCE|$STORMLOCK_FENCING_TOKEN|$STORMLOCK_PRINCIPAL|$STORMLOCK_LEASE_ID"';
    const flags = ["--principal", "bob", "--reason", "why"];
    const out = scene.home.path(name);
    const command = ["sh", "-c", `${script} | tee ${out}; sleep 1`];
    const running = scene.home.hold(name, { ...withDaemon(), flags }, command);
    await until("it runs", () => scene.home.read(out).includes("|bob|"));
    const lease = await scene.client.current(name);
    const { stdout, code } = await running.ended;
    expect(stdout.split("|")[1]).toBe(String(lease?.token));
    expect(lease).toMatchObject({ principal: "bob", reason: "why" });
    expect(code).toBe(0);
    const [resource, token, principal, leaseId] = stdout.trim().split("|");
    expect([resource, principal]).toEqual([name, "bob"]);
    expect(token).toMatch(/^[1-9][0-9]+$/u);
    expect(leaseId).toMatch(/^[0-9a-f]{32}$/u);
    expect(await scene.client.current(name)).toBeUndefined();
  });

  test("gets its arguments as they are, from the first word that is none of ours", async ({
    expect,
  }) => {
    const argv = [
      "hold",
      scene.fresh(),
      "-c",
      scene.home.config,
      "-t",
      "10s",
      "printf",
      "%s|",
      "-t",
      "a b",
      "",
    ];
    expect(await scene.home.cli.run(argv)).toMatchObject({ code: 0, stdout: "-t|a b||" });
  });

  test("reads and writes a pipeline untouched, and its end is the pipeline's", async ({
    expect,
  }) => {
    const line =
      `head -c 3000000 /dev/urandom | tee in.bin | ` +
      `${process.execPath} ${PROGRAM} hold ${scene.fresh()} -c ${scene.home.config} -t 10s -- sh -c 'cat; exit 3' > out.bin; ` +
      `echo "\${PIPESTATUS[2]}"; cmp in.bin out.bin && wc -c < out.bin`;
    const ended = await scene.home.cli.bash(line);
    expect(ended).toMatchObject({ stderr: "", code: 0 });
    expect(ended.stdout.split(/\s+/u)).toEqual(["3", "3000000", ""]);
  });

  test("excludes another without any daemon, and hands over at once", async ({ expect }) => {
    const name = scene.fresh();
    const first = scene.home.hold(name, { ttl: "10s" }, scene.home.beat(`${name}-1`, 1500));
    await scene.home.born(`${name}-1`);
    const refused = await scene.home.run(name, { ttl: "10s", flags: ["-n"] }, ["echo", "ran"]);
    expect(refused).toMatchObject({ code: 75, stdout: "" });
    const second = await scene.home.run(name, { ttl: "10s" }, scene.home.beat(`${name}-2`, 10));
    expect(second.code).toBe(0);
    expect((await first.ended).code).toBe(0);
    const [one, two] = [scene.home.life(`${name}-1`), scene.home.life(`${name}-2`)];
    expect(two?.firstMs).toBeGreaterThan(one?.lastMs ?? Infinity);
    expect(BigInt(two?.token ?? 0)).toBeGreaterThan(BigInt(one?.token ?? 0));
  });

  test("outlives its lease's ttl many times, without a daemon too", async ({ expect }) => {
    for (const servers of [[], [scene.daemon.address]]) {
      const name = scene.fresh();
      const ended = await scene.home.run(name, { servers, ttl: "1s" }, scene.home.beat(name, 3500));
      expect(ended).toMatchObject({ code: 0, stderr: "" });
      const { firstMs = 0, lastMs = 0 } = scene.home.life(name) ?? {};
      expect(lastMs - firstMs).toBeGreaterThan(3400);
    }
  });
});

describe("several resources", { concurrent: true }, () => {
  test("are taken all or none", async ({ expect }) => {
    const [a, b, c] = [`${scene.fresh()}/a`, `${scene.fresh()}/b`, `${scene.fresh()}/c`];
    const script = 'echo "$STORMLOCK_RESOURCE"; echo "$STORMLOCK_FENCING_TOKEN"';
    const all = await scene.home.run([c, a, b], withDaemon(), ["sh", "-c", script]);
    expect(all.code).toBe(0);
    await using held = await taken(b);
    const none = await scene.home.run([c, a, b], { ...withDaemon(), flags: ["-n"] }, [
      "echo",
      "ran",
    ]);
    expect(none).toMatchObject({ code: 75, stdout: "" });
    expect(none.stderr).toMatch(new RegExp(`${b} is held by ann@ci-7`, "u"));
    expect(await scene.client.current(a)).toBeUndefined();
    expect(await scene.client.current(c)).toBeUndefined();
    expect(held.isHeld).toBe(true);
  });

  test("do not deadlock two commands that name them the other way round", async ({ expect }) => {
    const [a, b] = [`${scene.fresh()}/a`, `${scene.fresh()}/b`];
    const codes = await Promise.all(
      Array.from({ length: 6 }, async (_, at) => {
        const order = at % 2 === 0 ? [a, b] : [b, a];
        return (await scene.home.run(order, withDaemon(), ["sleep", "0.1"])).code;
      }),
    );
    expect(codes).toEqual([0, 0, 0, 0, 0, 0]);
  });
});

describe("a wait", { concurrent: true }, () => {
  test("is told of in one line, with holder, reason and place", async ({ expect }) => {
    const name = scene.fresh();
    const held = await taken(name);
    const waiting = scene.home.hold(name, withDaemon(), ["true"]);
    await waiting.stderrMatches(
      new RegExp(
        `^waiting for ${name}: held by ann@ci-7 for [0-9]+s \\(release 4\\.2\\), you are 1st\\n`,
        "u",
      ),
    );
    await pause(1500);
    await held.release();
    const ended = await waiting.ended;
    expect(ended.code).toBe(0);
    expect(ended.stderr.match(/waiting/gu)).toHaveLength(1);
  });

  test("that is over soon is not told of at all", async ({ expect }) => {
    const ended = await scene.home.run(scene.fresh(), withDaemon(), ["true"]);
    expect(ended).toMatchObject({ code: 0, stdout: "", stderr: "" });
  });

  test.for(["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const)(
    "that %s ends is over at once with 128+n, nothing run and nobody in line",
    async (signal, { expect }) => {
      const name = scene.fresh();
      const held = await taken(name);
      const waiting = scene.home.hold(name, withDaemon(), ["echo", "ran"]);
      await waiting.stderrMatches(/you are 1st/u);
      const killedMs = hostMs();
      waiting.kill(signal);
      const ended = await waiting.ended;
      expect(hostMs() - killedMs).toBeLessThan(2000);
      expect(ended).toMatchObject({ code: 128 + constants.signals[signal], stdout: "" });
      await held.release();
      expect(await scene.client.hold(name, { ttlMs: 2000, waitMs: 0 })).toMatchObject({
        kind: "granted",
      });
    },
  );

  test("that a signal ends is over at once, although the daemon does not answer", async ({
    expect,
  }) => {
    const name = scene.fresh();
    await using held = await taken(name);
    await using proxy = await Proxy.open(scene.daemon.address);
    const how = { servers: [proxy.address], ttl: "60s" };
    const waiting = scene.home.hold(name, how, ["echo", "ran"]);
    await waiting.stderrMatches(/you are 1st/u);
    proxy.freeze();
    const killedMs = hostMs();
    waiting.kill("SIGTERM");
    const ended = await waiting.ended;
    expect(ended).toMatchObject({ code: 143, stdout: "" });
    expect(hostMs() - killedMs).toBeLessThan(3000);
    expect(held.isHeld).toBe(true);
  });

  test("survives the restart of its daemon, at the end of the new queue", async ({ expect }) => {
    await using other = await HoldHome.make();
    const first = await other.daemon();
    const how = { servers: [first.address], ttl: "20s" };
    const one = other.hold("x", how, other.beat("one", 8000));
    await other.born("one");
    const two = other.hold("x", how, other.beat("two", 10));
    await two.stderrMatches(/you are 1st/u);
    first.running.kill("SIGKILL");
    await first.running.ended;
    await other.daemon(first.address);
    expect((await two.ended).code).toBe(0);
    expect((await one.ended).code).toBe(0);
    expect(other.life("two")?.firstMs).toBeGreaterThan(other.life("one")?.lastMs ?? Infinity);
  });
});
