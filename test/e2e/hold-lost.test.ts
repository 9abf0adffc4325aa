// A lock that is lost before its command has begun, or without a word; and what cannot be ended.

import { describe, expect, test } from "vitest";
import type { Hold, Lease } from "../../src/index.js";
import type { Ended, Running } from "../support/cli.js";
import { isAlive, pause, until } from "../support/hold-cli.js";
import { holdScene } from "../support/hold-scene.js";

const scene = holdScene("bob", "lost-");

async function heldByBob(resource: string): Promise<Hold> {
  const result = await scene.client.hold(resource, { ttlMs: 60_000 });
  if (result.kind !== "granted") throw new Error(result.message);
  return result.hold;
}

/** Ends somebody's lease by its id, as an operator does. */
async function breakLease(resource: string): Promise<void> {
  const lease = await scene.client.current(resource);
  const outcome = await scene.client.release(resource, lease?.leaseId ?? "");
  if (outcome !== "released") throw new Error(`there was nothing to break: ${outcome}`);
}

/** The lease that follows another. */
async function after(first: Lease | undefined): Promise<Lease> {
  for (;;) {
    const lease = await scene.client.current(first?.resource ?? "");
    if (lease !== undefined && lease.leaseId !== first?.leaseId) return lease;
    await pause(10);
  }
}

function lastLine({ stderr }: Ended): unknown {
  return JSON.parse(stderr.trim().split("\n").at(-1) ?? "");
}

describe("a lease that somebody has broken", { concurrent: true }, () => {
  // With a ttl of a minute no heartbeat tells of it before the command has ended.
  test.for([
    ["exits with 0", "exit 0"],
    ["exits with 7", "exit 7"],
    ["dies by SIGTERM", "kill -TERM $$"],
  ])(
    "is a loss, 76, even when its command %s before anybody notices",
    async ([, end], { expect }) => {
      const name = scene.fresh();
      const out = scene.home.path(name);
      const script = `touch "$0"; until [ -e "$0.go" ]; do sleep 0.05; done; ${String(end)}`;
      const how = { servers: [scene.daemon.address], ttl: "60s", flags: ["--json"] };
      const running = scene.home.hold(name, how, ["sh", "-c", script, out]);
      await until("it runs", () => scene.home.has(out));
      await breakLease(name);
      await scene.home.cli.file(`${name}.out.go`, "");
      const ended = await running.ended;
      expect(ended).toMatchObject({ code: 76, signal: null });
      expect(ended.stderr).toContain(`the lock on ${name} was lost while the command ran`);
      expect(lastLine(ended)).toMatchObject({ ended: "lost", exit_code: 76 });
    },
  );

  test("is a loss for a sidecar that is told to end before it notices", async ({ expect }) => {
    const name = scene.fresh();
    const words = ["hold", name, "--sidecar", "--server", scene.daemon.address, "--json"];
    const running = scene.home.cli.start([...words, "--ttl", "60s"]);
    await running.stderrMatches(/holding/u);
    await breakLease(name);
    running.kill("SIGTERM");
    const ended = await running.ended;
    expect(ended.code).toBe(76);
    expect(lastLine(ended)).toMatchObject({ ended: "lost", exit_code: 76 });
  });

  test("while another lock is awaited is noticed at once, and all are taken again", async ({
    expect,
  }) => {
    const [a, b] = [`${scene.fresh()}/a`, `${scene.fresh()}/b`];
    const held = await heldByBob(b);
    const how = { servers: [scene.daemon.address], ttl: "2s" };
    const running = scene.home.hold([a, b], how, ["sh", "-c", 'echo "$STORMLOCK_FENCING_TOKEN"']);
    await running.stderrMatches(/you are 1st/u);
    const first = await scene.client.current(a);
    await breakLease(a);
    await running.stderrMatches(new RegExp(`the lock on ${a} was lost .* taking all again`, "u"));
    const second = await after(first);
    expect(second.token).toBeGreaterThan(first?.token ?? 2n ** 64n);
    await held.release();
    const ended = await running.ended;
    expect(ended.code).toBe(0);
    expect(ended.stdout.split("\n")[0]).toBe(String(second.token));
  });
});

// No signal that wrapper or guardian send has an effect: as on a process that waits for a dead disk,
// or, with EPERM, on one that is another user's.
const OUT_OF_REACH = `
import childProcess from "node:child_process";
import { syncBuiltinESMExports } from "node:module";
const { kill } = process;
const { spawn } = childProcess;
process.kill = (pid, signal) => {
  if (signal === 0 || pid === process.pid) return kill.call(process, pid, signal);
  if (process.env.REFUSED !== "1") return true;
  throw Object.assign(new Error("kill EPERM"), { code: "EPERM" });
};
const { NODE_OPTIONS, REFUSED } = process.env;
childProcess.spawn = (command, words, options) =>
  spawn(command, words, { ...options, env: { ...options.env, NODE_OPTIONS, REFUSED } });
syncBuiltinESMExports();
`;

describe("what a command leaves behind", { concurrent: true }, () => {
  async function leaveBehind(name: string, refused: string): Promise<Running> {
    const preload = await scene.home.cli.file(`${name}.mjs`, OUT_OF_REACH);
    const out = scene.home.path(name);
    const script = 'sleep 60 >/dev/null 2>&1 & echo $! > "$0"; exit 3';
    const env = { NODE_OPTIONS: `--import=${preload}`, REFUSED: refused };
    const how = { servers: [scene.daemon.address], ttl: "6s", env };
    return scene.home.hold(name, how, ["sh", "-c", script, out]);
  }

  function endLeft(name: string): void {
    const left = Number(scene.home.read(scene.home.path(name)));
    expect(isAlive(left)).toBe(true);
    process.kill(left, "SIGKILL");
  }

  test("and no signal reaches leaves the lock to its ttl: it is not given back", async ({
    expect,
  }) => {
    const name = scene.fresh();
    const running = await leaveBehind(name, "0");
    const ended = await running.ended;
    expect(ended.code).toBe(3);
    expect(ended.stderr).toMatch(/1 process was left behind .* cannot be killed: the lock is not/u);
    expect(ended.stderr).not.toMatch(/: ended$/mu);
    expect(await scene.client.current(name)).toBeDefined();
    await using _next = await heldByBob(name);
    endLeft(name);
  });

  test("and is another user's is not said to have been ended", async ({ expect }) => {
    const name = scene.fresh();
    const running = await leaveBehind(name, "1");
    const ended = await running.ended;
    expect(ended.code).toBe(3);
    expect(ended.stderr).toMatch(/1 process was left behind .*: this user may not end it/u);
    expect(ended.stderr).not.toMatch(/: ended$/mu);
    expect(await scene.client.current(name)).toBeUndefined();
    endLeft(name);
  });
});
