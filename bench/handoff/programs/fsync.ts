// What this machine's disk asks for making a little durable: a page is written and synced, again
// and again, where the stores have their throw-away data.

import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { quantile } from "../../figures.js";

/** What to do. */
export interface FsyncOrder {
  readonly times: number;
}

/** What came of it. */
export interface FsyncReport {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

// What SQLite's log takes for a page and its header.
const PAGE = Buffer.alloc(4096 + 24, 1);

const { times } = JSON.parse(process.argv[2] ?? "{}") as FsyncOrder;
const folder = mkdtempSync(join(tmpdir(), "stormlock-fsync-"));
try {
  const file = openSync(join(folder, "log"), "w");
  const tookMs = Array.from({ length: times }, () => {
    const beganAtMs = performance.now();
    writeSync(file, PAGE);
    fdatasyncSync(file);
    return performance.now() - beganAtMs;
  });
  closeSync(file);
  const report: FsyncReport = { p50Ms: quantile(tookMs, 0.5), p99Ms: quantile(tookMs, 0.99) };
  process.stdout.write(`${JSON.stringify(report)}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
