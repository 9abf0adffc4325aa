// What `stormlock hold` does about a conflict and a loss, and what it says in the end.

import { describe, test } from "vitest";
import type { Ended } from "../support/cli.js";
import { isAlive, pause, until } from "../support/hold-cli.js";
import { holdScene } from "../support/hold-scene.js";
import { Proxy } from "../support/proxy.js";

const scene = holdScene("bob", "s");

async function heldByBob(resource: string): Promise<AsyncDisposable> {
  const result = await scene.client.hold(resource, { ttlMs: 60_000 });
  if (result.kind !== "granted") throw new Error(result.message);
  return result.hold;
}

function run(
  resources: string | readonly string[],
  flags: readonly string[],
  command: readonly string[],
  servers: readonly string[] = [scene.daemon.address],
): Promise<Ended> {
  return scene.home.run(resources, { servers, ttl: "10s", flags }, command);
}

/** The last line of stderr, and whatever comes before it: all of it JSON. */
function said({ stderr }: Ended): { summary: Record<string, unknown>; before: object[] } {
  const lines = stderr.split("\n").slice(0, -1);
  const all = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { summary: all.at(-1) ?? {}, before: all.slice(0, -1) };
}

describe("-E", { concurrent: true }, () => {
  test("takes the place of 75, and of no other code", async ({ expect }) => {
    const name = scene.fresh();
    await using _held = await heldByBob(name);
    const codes = await Promise.all([
      run(name, ["-n", "-E", "3"], ["true"]),
      run(name, ["-w", "200ms", "--conflict-exit-code", "0"], ["true"]),
      run(name, ["-n", "-E255"], ["true"]),
      run(scene.fresh(), ["-n", "-E", "3"], ["sh", "-c", "exit 75"]),
      run(scene.fresh(), ["-n", "-E", "3"], ["no-such-command"]),
      run(scene.fresh(), ["-n", "-E", "3"], ["true"], ["127.0.0.1:1"]),
    ]);
    expect(codes.map(({ code }) => code)).toEqual([3, 0, 255, 75, 127, 69]);
  });

  test.for(["256", "-1", "1.5", "seven", "0x10", "1000"])("%s is no exit code", async (code, t) => {
    const ended = await run(scene.fresh(), [`--conflict-exit-code=${code}`], ["echo", "ran"]);
    t.expect(ended).toMatchObject({ code: 64, stdout: "" });
    t.expect(ended.stderr).toMatch(/is no exit code: give a number from 0 to 255/u);
  });
});

describe("--on-lost warn", { concurrent: true }, () => {
  // Says when it begins, writes on for a while, and ends in peace.
  const goesOn = (out: string): string[] => [
    ...["bash", "-c"],
    'trap "exit 9" TERM; echo begun >"$0"; for i in $(seq 80); do sleep 0.05; done; echo done >>"$0"',
    out,
  ];

  test("lets the command go on to its own end, and says so; the code is 76 all the same", async ({
    expect,
  }) => {
    const name = scene.fresh();
    await using proxy = await Proxy.open(scene.daemon.address);
    const how = { servers: [proxy.address], ttl: "1s", flags: ["--on-lost", "warn"] };
    const running = scene.home.hold(name, how, goesOn(scene.home.path(name)));
    await until("it runs", () => scene.home.has(scene.home.path(name)));
    proxy.freeze();
    await running.stderrMatches(/was lost/u);
    // It is lost indeed: somebody else has it while the command goes on.
    await using _held = await heldByBob(name);
    expect(scene.home.read(scene.home.path(name))).toBe("begun\n");
    const ended = await running.ended;
    expect(ended.code).toBe(76);
    expect(ended.stderr).toBe(
      `stormlock: the lock on ${name} was lost, others may hold it now: the command goes on\n`,
    );
    expect(scene.home.read(scene.home.path(name))).toBe("begun\ndone\n");
  });

  test("lets it outlive a wrapper's pause, and the code tells of the loss", async ({ expect }) => {
    const name = scene.fresh();
    const how = { servers: [scene.daemon.address], ttl: "1s", flags: ["--on-lost=warn"] };
    const running = scene.home.hold(name, how, goesOn(scene.home.path(name)));
    await until("it runs", () => scene.home.has(scene.home.path(name)));
    running.kill("SIGSTOP");
    await using _held = await heldByBob(name);
    await until("it is done", () => scene.home.read(scene.home.path(name)).includes("done"));
    running.kill("SIGCONT");
    expect((await running.ended).code).toBe(76);
  });

  test("ends it by the grace all the same when the wrapper dies after the loss", async ({
    expect,
  }) => {
    const name = scene.fresh();
    await using proxy = await Proxy.open(scene.daemon.address);
    const flags = ["--on-lost", "warn", "--grace", "300ms"];
    const script = 'trap "echo asked >>$0" TERM; echo $$ >$0; while :; do sleep 0.05; done';
    const how = { servers: [proxy.address], ttl: "1s", flags };
    const running = scene.home.hold(name, how, ["bash", "-c", script, scene.home.path(name)]);
    const pid = Number(
      await until("it runs", () => scene.home.read(scene.home.path(name)) || false),
    );
    proxy.freeze();
    await running.stderrMatches(/was lost/u);
    await pause(500);
    expect(isAlive(pid)).toBe(true);
    running.kill("SIGKILL");
    await until("it was asked", () => scene.home.read(scene.home.path(name)).includes("asked"));
    await until("it is dead", () => !isAlive(pid), 10_000);
  });

  test("changes nothing while the lock is held", async ({ expect }) => {
    const ended = await run(scene.fresh(), ["--on-lost", "warn"], ["sh", "-c", "exit 7"]);
    expect(ended).toMatchObject({ code: 7, stderr: "" });
  });

  test("kill is what happens without it, and nothing else is known", async ({ expect }) => {
    const ended = await run(scene.fresh(), ["--on-lost", "ignore"], ["true"]);
    expect(ended.code).toBe(64);
    expect(ended.stderr).toMatch(/none of kill, warn/u);
  });
});

describe("--json", { concurrent: true }, () => {
  test("says in the last line on stderr what was held, how long, and how it ended", async ({
    expect,
  }) => {
    const [b, a] = [`${scene.fresh()}/b`, `${scene.fresh()}/a`];
    const out = scene.home.path(a.replace("/", "-"));
    const script =
      'echo "$STORMLOCK_FENCING_TOKEN" >"$0"; echo mine; echo too >&2; sleep 0.3; exit 7';
    const ended = await run([b, a], ["--json"], ["sh", "-c", script, out]);
    expect(ended).toMatchObject({ code: 7, stdout: "mine\n" });
    const lines = ended.stderr.split("\n");
    expect(lines[0]).toBe("too");
    expect(lines).toHaveLength(3);
    const summary = JSON.parse(lines[1] ?? "") as Record<string, unknown>;
    const tokens = scene.home.read(out).trim().split("\n");
    const names = [b, a].sort();
    expect(summary).toEqual({
      locks: names.map((resource, at) => ({ resource, token: tokens[at] })),
      waited_ms: expect.any(Number) as number,
      held_ms: expect.any(Number) as number,
      ended: "exited",
      exit_code: 7,
    });
    expect(summary["held_ms"]).toBeGreaterThanOrEqual(300);
  });

  test("tells the time that was waited for", async ({ expect }) => {
    const name = scene.fresh();
    const held = await heldByBob(name);
    const running = scene.home.hold(
      name,
      { servers: [scene.daemon.address], ttl: "10s", flags: ["--json"] },
      ["true"],
    );
    await running.stderrMatches(/you are 1st/u);
    await pause(600);
    await held[Symbol.asyncDispose]();
    const { summary } = said(await running.ended);
    expect(summary).toMatchObject({ ended: "exited", exit_code: 0 });
    expect(summary["waited_ms"]).toBeGreaterThanOrEqual(900);
  });

  test.for([
    ["signalled", 143, ["sh", "-c", "kill -TERM $$"]],
    ["signalled", 137, ["sh", "-c", "kill -KILL $$"]],
    ["not-found", 127, ["no-such-command"]],
    ["not-executable", 126, ["/"]],
  ] as const)("a command's end is %s: %d", async ([word, code, command], { expect }) => {
    const { summary } = said(await run(scene.fresh(), ["--json"], command));
    expect(summary).toMatchObject({ ended: word, exit_code: code });
  });

  test("a wait's end is not-acquired, stopped or unreachable, and no token is told", async ({
    expect,
  }) => {
    const name = scene.fresh();
    await using _held = await heldByBob(name);
    const refused = await run(name, ["--json", "-n", "-E", "9"], ["true"]);
    expect(said(refused)).toMatchObject({
      before: [{ error: "lock-held" }],
      summary: { locks: [{ resource: name }], held_ms: 0, ended: "not-acquired", exit_code: 9 },
    });
    const how = { servers: [scene.daemon.address], ttl: "10s", flags: ["--json"] };
    const stopped = scene.home.hold(name, how, ["true"]);
    await stopped.stderrMatches(/you are 1st/u);
    stopped.kill("SIGTERM");
    expect(said(await stopped.ended).summary).toMatchObject({ ended: "stopped", exit_code: 143 });
    const alone = await run(name, ["--json"], ["true"], ["127.0.0.1:1"]);
    expect(said(alone)).toMatchObject({
      before: [{ error: "unreachable" }],
      summary: { ended: "unreachable", exit_code: 69 },
    });
  });

  test("a ttl that the daemon refuses is failed, and the error before it says why", async ({
    expect,
  }) => {
    const how = { servers: [scene.daemon.address], ttl: "900ms", flags: ["--json"] };
    const ended = await scene.home.run(scene.fresh(), how, ["true"]);
    expect(said(ended)).toMatchObject({
      before: [{ error: "invalid-field" }],
      summary: { ended: "failed", exit_code: 64 },
    });
  });

  test.for(["kill", "warn"] as const)("a loss is lost, with --on-lost %s", async (onLost, t) => {
    const name = scene.fresh();
    await using proxy = await Proxy.open(scene.daemon.address);
    const flags = ["--json", "--on-lost", onLost];
    const script = 'touch "$0"; for i in $(seq 50); do sleep 0.05; done';
    const running = scene.home.hold(name, { servers: [proxy.address], ttl: "1s", flags }, [
      ...["sh", "-c", script, scene.home.path(name)],
    ]);
    await until("it runs", () => scene.home.has(scene.home.path(name)));
    proxy.freeze();
    const { summary, before } = said(await running.ended);
    t.expect(before).toMatchObject([{ note: t.expect.stringContaining("was lost") as string }]);
    t.expect(summary).toMatchObject({ ended: "lost", exit_code: 76 });
    t.expect(summary["locks"]).toMatchObject([
      { resource: name, token: t.expect.any(String) as string },
    ]);
  });
});
