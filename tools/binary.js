// Builds the single file: Node and the program in one executable, for linux x64. It is the same
// whatever Node builds it, since it is made with the one that goes into it.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { fileURLToPath } from "node:url";
import { asFunction, bundle } from "./binary-bundle.js";
import { nodeRelease } from "./node-release.js";
import { commandFiles } from "../rolldown.config.js";

const NODE = "24.21.0";
const FOLDER = "build/binary";
const RESULT = "build/stormlock-linux-x64";
// By this Node finds out that something has been put into it.
const FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";

const node = nodeRelease(NODE);
rmSync(FOLDER, { recursive: true, force: true });
mkdirSync(FOLDER, { recursive: true });

const [main = "", guardian = "", worker = ""] = await Promise.all(
  [
    "cmd/stormlock/single-file.ts",
    "cmd/stormlock/guardian.ts",
    "src/backends/sqlite/worker.ts",
  ].map(async (input) => [...(await bundle(input, false)).values()][0]),
);
// What lies together for a command that reads files from a disk lies together here.
const parts = await bundle({ program: "cmd/stormlock/single-file-program.ts" }, commandFiles);
parts.set("guardian.js", guardian);
mkdirSync(`${FOLDER}/parts`);
for (const [name, code] of parts) writeFileSync(`${FOLDER}/parts/${name}`, asFunction(code));
writeFileSync(`${FOLDER}/main.js`, main);
run(node, ["tools/binary-compile.js", `${FOLDER}/parts`]);
writeFileSync(`${FOLDER}/parts/sqlite-worker.js`, worker);

const assets = readdirSync(`${FOLDER}/parts`);
writeFileSync(
  `${FOLDER}/sea.json`,
  JSON.stringify({
    main: `${FOLDER}/main.js`,
    output: `${FOLDER}/blob`,
    disableExperimentalSEAWarning: true,
    // An option for another Node must not keep this one from starting.
    execArgvExtension: "none",
    assets: Object.fromEntries(assets.map((name) => [name, `${FOLDER}/parts/${name}`])),
  }),
);
run(node, ["--experimental-sea-config", `${FOLDER}/sea.json`]);

const making = `${FOLDER}/stormlock`;
copyFileSync(node, making);
chmodSync(making, 0o755);
// Names that only a debugger wants; where there are no binutils, the file is a sixth larger.
const isStripped = spawnSync("strip", ["--strip-all", making]).status === 0;
const blob = ["NODE_SEA_BLOB", `${FOLDER}/blob`, "--sentinel-fuse", FUSE];
run(process.execPath, [
  fileURLToPath(import.meta.resolve("postject/dist/cli.js")),
  making,
  ...blob,
]);
renameSync(making, RESULT); // at once, under whoever runs the one before

const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const { size } = statSync(RESULT);
console.log(
  `${RESULT}: ${mebibytes(size)}, with Node ${NODE}${isStripped ? "" : ", not stripped"}`,
);

function run(program, args) {
  const { status, error, stderr } = spawnSync(program, args, {
    stdio: ["ignore", "ignore", "pipe"],
    encoding: "utf8",
    timeout: 120_000,
  });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${error?.message ?? stderr}`);
}
