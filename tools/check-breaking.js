// The API breaks nobody: proto/ is compared with the last release's, and before the first release
// with the commit before.
import { spawnSync } from "node:child_process";

const git = (...args) => spawnSync("git", args, { encoding: "utf8" });

const tag = git("describe", "--tags", "--match", "v*", "--abbrev=0");
const before = git("rev-parse", "--verify", "--quiet", "HEAD~1");
const reference = tag.status === 0 ? tag.stdout.trim() : before.stdout.trim();
if (reference === "") {
  console.error("there is no earlier state to compare the API with: this check needs git history");
  process.exit(1);
}
if (git("cat-file", "-e", `${reference}:buf.yaml`).status !== 0) {
  console.log(`${reference} has no API yet: nothing can break`);
  process.exit(0);
}
const { status } = spawnSync(
  process.execPath,
  ["node_modules/@bufbuild/buf/bin/buf", "breaking", "--against", `.git#ref=${reference}`],
  { stdio: "inherit" },
);
if (status === 0) console.log(`the API breaks nothing since ${reference}`);
process.exit(status ?? 1);
