// Builds programs of ours that are no part of the product, and runs the first:
//   node tools/run-program.js FOLDER MAIN[,OTHER...] [ARG...]
// TypeScript runs as it stands on newer Node only. The others lie beside the first when it runs, and
// so does whatever is in folders called "programs".
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

const [folder = "", names = "", ...args] = process.argv.slice(2);
// Within the project, where packages are found.
const out = fileURLToPath(new URL(`../node_modules/.cache/stormlock/${folder}`, import.meta.url));
const ownProcesses = readdirSync(folder, { recursive: true })
  .map((path) => path.toString().replaceAll("\\", "/"))
  .filter((path) => /(^|\/)programs\/[^/]+\.ts$/.test(path))
  .map((path) => path.replace(/\.ts$/, ""));
const entries = [...names.split(","), ...ownProcesses];
await build({
  input: Object.fromEntries(entries.map((name) => [name, `${folder}/${name}.ts`])),
  platform: "node",
  external: (id, importer) => importer !== undefined && /^(?!@oxc-project)[@a-z]/.test(id),
  transform: { target: "node20.19" },
  output: { dir: out, format: "esm", cleanDir: true },
  logLevel: "warn",
});
const child = spawn(process.execPath, [`${out}/${entries[0]}.js`, ...args], { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.once("exit", (code, signal) => {
  process.exitCode = code ?? (signal === null ? 70 : 1);
});
