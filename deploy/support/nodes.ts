import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { alone } from "./alone.js";

// The first time it comes over the network.
const COLD_MS = 300_000;

/** Where a Node of this version is; it is fetched unless it is there. */
export async function nodeOf(version: string): Promise<string> {
  const fetched = `import("./tools/node-release.js").then((it) => console.log(it.nodeRelease("${version}")))`;
  return alone(async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ["-e", fetched], {
      timeout: COLD_MS,
    });
    return stdout.trim();
  });
}
