// Runs the trials (trials/main.ts) on the built program: as root with iptables in a network
// namespace of their own, where packets can be dropped without anybody else's harm. The
// namespace goes when the last process in it has ended.
import { spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const cwd = fileURLToPath(new URL("..", import.meta.url));

const inOwnNetwork = (script, ...args) => [
  ...["unshare", "--net", "sh", "-c", `ip link set lo up && ${script}`, "sh"],
  ...args,
];
const [probe, ...probeArgs] = inOwnNetwork("iptables -A INPUT -p tcp --dport 1 -j DROP");
const canDrop =
  process.getuid?.() === 0 && spawnSync(probe, probeArgs, { stdio: "ignore" }).status === 0;

const program = [process.execPath, "tools/run-program.js", "trials", "main,witness"];
const argv = [...program, ...process.argv.slice(2)];
const [command, ...args] = canDrop ? inOwnNetwork('exec "$@"', ...argv) : argv;
const env = { ...process.env, ...(canDrop ? { TRIALS_OWN_NETWORK: "1" } : {}) };
const child = spawn(command, args, { cwd, env, stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.once("exit", (code) => {
  process.exitCode = code ?? 1;
});
