// Shows what Stormlock does, with the program that was just built: a lock taken, refused to
// somebody else, looked up and given back; then two commands under one lock, one after the other.
// Everything happens in a throw-away folder, and ends by itself. What is printed is what the
// commands said; a thing that did not go as told makes this fail.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../dist/stormlock.cjs", import.meta.url));
const MOST_MS = 60_000;

const home = mkdtempSync(join(tmpdir(), "stormlock-demo-"));
const running = new Set();

// The user's own configuration has no say here.
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith("STORMLOCK_")),
);
Object.assign(env, { HOME: home, XDG_CONFIG_HOME: home, XDG_STATE_HOME: home });

// However it ends, it leaves nothing behind.
process.on("exit", () => {
  for (const { child } of running) child.kill("SIGKILL");
  rmSync(home, { recursive: true, force: true, maxRetries: 10 });
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));
process.stdout.on("error", () => process.exit(1));
void pause(MOST_MS, undefined, { ref: false }).then(() => {
  console.error(`# the demo has not come to its end within ${MOST_MS / 1000} s`);
  process.exit(1);
});

try {
  await demo();
  console.log("\n# all of it went as it should");
} catch (error) {
  console.error(`\n# the demo has failed: ${error.message}`);
  process.exitCode = 1;
} finally {
  for (const { child } of running) child.kill("SIGKILL");
  await Promise.all([...running].map(({ ended }) => ended));
}

async function demo() {
  say("# A daemon, on its embedded store:");
  say("$ stormlock serve --listen 127.0.0.1:0 &");
  const daemon = start(["serve", "--listen", "127.0.0.1:0"]);
  const [line, address] = await heard(daemon, /listening on (127\.0\.0\.1:\d+)/u);
  env.STORMLOCK_SERVER = address;
  say(`${line}\n$ export STORMLOCK_SERVER=${address}`);

  say("\n# Ann takes a lock, and Bob is refused:");
  const why = ["--principal", "ann", "--reason", "release 4.2"];
  const taken = await run(["acquire", "deploy/prod", "--ttl", "1m", ...why], 0, "id=$(%)");
  const id = taken.stdout.trim();
  say(`$ echo "$id"\n${id}`);
  await run(["acquire", "deploy/prod", "--principal", "bob"], 2);
  const { stdout: shown } = await run(["current", "deploy/prod"], 0);
  check(shown.includes(`Id: ${id}`), "current does not show Ann's lease");

  say("\n# She gives it back:");
  await run(["release", "deploy/prod", id], 0, "%", [[id, '"$id"']]);
  await run(["current", "deploy/prod"], 1);

  say("\n# A command that runs while the lock is held, and a second one that waits its turn:");
  // Each works until it is told that this is enough, however slow the machine is: Bob shall have
  // been seen to wait, which a command says after some tenths of a second of it.
  const script = (name) =>
    `echo "${name} begins with token $STORMLOCK_FENCING_TOKEN" | tee -a log; ` +
    `until [ -e enough ]; do sleep 0.1; done; echo "${name} is done" | tee -a log`;
  const hold = (name) => {
    const argv = ["hold", "deploy/prod", "--principal", name, "--", "sh", "-c", script(name)];
    say(`$ ${typed(argv)} &`);
    return start(argv, say);
  };
  const ann = hold("ann");
  await heard(ann, /ann begins/u);
  const bob = hold("bob");
  await heard(bob, /held by ann .*you are 1st/u);
  say("$ touch enough");
  writeFileSync(join(home, "enough"), "");
  for (const [name, each] of Object.entries({ ann, bob })) {
    const { code } = await each.ended;
    check(code === 0, `the command of ${name} ended with exit code ${code}`);
  }
  const log = readFileSync(join(home, "log"), "utf8");
  const story = /^ann begins.* (\d+)\nann is done\nbob begins.* (\d+)\nbob is done\n$/u.exec(log);
  check(story !== null, `the commands did not run one after the other:\n${log}`);
  check(BigInt(story[2]) > BigInt(story[1]), "Bob's token is not greater than Ann's");

  say("\n# And the daemon stops:");
  say("$ kill %1");
  daemon.child.kill("SIGTERM");
  const { code } = await daemon.ended;
  say(`[exit code ${code}]`);
  check(code === 0, "the daemon did not stop cleanly");
}

/** Runs a command to its end, shows it and what it says, and checks its exit code. */
async function run(argv, expected, form = "%", shorter = []) {
  say(`$ ${form.replace("%", () => typed(argv, shorter))}`);
  const started = start(argv, form === "%" ? say : undefined);
  const { code } = await started.ended;
  if (code !== 0) say(`[exit code ${code}]`);
  check(code === expected, `exit code ${code} where ${expected} was expected: ${started.output}`);
  return started;
}

function start(argv, tell) {
  const child = spawn(process.execPath, [PROGRAM, ...argv], {
    cwd: home,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const started = { child, stdout: "", output: "" };
  const hear = (text) => {
    started.output += text;
    tell?.(text.trimEnd());
  };
  child.stdout.setEncoding("utf8").on("data", (text) => {
    started.stdout += text;
    hear(text);
  });
  child.stderr.setEncoding("utf8").on("data", hear);
  running.add(started);
  started.ended = new Promise((resolve) => {
    child.on("error", () => resolve({ code: undefined }));
    child.on("close", (code) => resolve({ code }));
  }).finally(() => running.delete(started));
  return started;
}

/** Waits until a command has said something. */
async function heard(started, pattern) {
  for (;;) {
    const match = pattern.exec(started.output);
    if (match !== null) return match;
    check(started.child.exitCode === null, `it ended too early: ${started.output}`);
    await pause(10);
  }
}

/** A command as one would type it. */
function typed(argv, shorter = []) {
  const names = new Map(shorter);
  const quoted = (word) => (/^[\w./:-]+$/u.test(word) ? word : `'${word}'`);
  return ["stormlock", ...argv.map((word) => names.get(word) ?? quoted(word))].join(" ");
}

function say(text) {
  console.log(text);
}

function check(isSo, complaint) {
  if (!isSo) throw new Error(complaint);
}
