import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const STAMP = "dist/.built-from";

/** Builds the program unless it is built of just these sources: no test ever runs on yesterday's. */
export default function build(): void {
  const sources = digest(["src", "cmd"], ["rolldown.config.js", "package-lock.json"]);
  if (existsSync(STAMP) && readFileSync(STAMP, "utf8") === sources) return;
  execFileSync(
    process.execPath,
    ["node_modules/rolldown/bin/cli.mjs", "-c", "--logLevel", "warn"],
    {
      stdio: ["ignore", "inherit", "inherit"],
    },
  );
  writeFileSync(STAMP, sources);
}

/** What tells whether any of these files has changed. */
export function digest(folders: readonly string[], files: readonly string[]): string {
  const hash = createHash("sha256");
  const within = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  for (const file of [...within, ...files].sort()) {
    hash.update(`${file}\n`).update(readFileSync(file));
  }
  return hash.digest("hex");
}
