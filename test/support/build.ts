import { execFileSync } from "node:child_process";

/** Builds the program, so that no test ever runs against yesterday's. */
export default function build(): void {
  execFileSync(
    process.execPath,
    ["node_modules/rolldown/bin/cli.mjs", "-c", "--logLevel", "warn"],
    {
      stdio: ["ignore", "inherit", "inherit"],
    },
  );
}
