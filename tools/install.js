// Installs what the build needs, unless it is there. So a fresh clone needs one command alone.
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";

const installed = "node_modules/.package-lock.json";
const isThere =
  existsSync(installed) && statSync(installed).mtimeMs >= statSync("package-lock.json").mtimeMs;

if (!isThere) {
  // Not `npm ci`: it refuses a lock file that does not name the optional packages of every other
  // platform, and some registries do not serve those. What the lock file names is installed as
  // it says, and neither file is changed.
  const { status } = spawnSync("npm", ["install", "--no-save", "--no-audit", "--no-fund"], {
    stdio: ["ignore", "inherit", "inherit"],
    shell: process.platform === "win32",
  });
  if (status !== 0) {
    console.error("npm install has failed: see above; then run this again");
    process.exit(1);
  }
}
