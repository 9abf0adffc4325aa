// Builds the program and the trials (trials/main.ts), and runs them: as root with iptables in a
// network namespace of their own, where packets can be dropped without anybody else's harm. The
// namespace goes when the last process in it has ended.
import { spawn, spawnSync } from "node:child_process";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const FOLDER = "build/trials/program";

const run = (command, ...args) =>
  spawnSync(command, args, { cwd: root, stdio: ["ignore", "ignore", "inherit"] }).status;
const rolldown = (...args) =>
  run(process.execPath, "node_modules/rolldown/bin/cli.mjs", ...args, "--logLevel", "warn");

const isBuilt =
  (process.env.TRIALS_PROGRAM === "built" || rolldown("-c") === 0) &&
  rolldown("-c", "rolldown.trials.config.js") === 0;
if (!isBuilt) process.exit(1);

const canDrop =
  process.getuid?.() === 0 &&
  spawnSync(
    "unshare",
    ["--net", "sh", "-c", "ip link set lo up && iptables -A INPUT -p tcp --dport 1 -j DROP"],
    { stdio: "ignore" },
  ).status === 0;

const program = [process.execPath, `${FOLDER}/main.js`, ...process.argv.slice(2)];
const argv = canDrop
  ? ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", ...program]
  : program;
const child = spawn(argv[0], argv.slice(1), {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, ...(canDrop ? { TRIALS_OWN_NETWORK: "1" } : {}) },
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => {
  process.exit(code ?? 128 + constants.signals[signal]);
});
