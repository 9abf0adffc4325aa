// What tests build is kept in folders that all of them share, and their files run side by side.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";

const FOLDER = "build";
// Whoever comes first may have to fetch and compile everything.
const WITHIN_SECONDS = 1200;

/**
 * Does something while nobody else does anything by this function, in this process or another.
 * Where the system knows no such lock (only Linux is asked) it is simply done.
 */
export async function alone<T>(work: () => Promise<T>): Promise<T> {
  if (process.platform !== "linux") return work();
  mkdirSync(FOLDER, { recursive: true });
  // The kernel frees it when `cat` ends, which it does with this process, however that ends.
  const waiting = ["--timeout", String(WITHIN_SECONDS), `${FOLDER}/being-built`];
  const holder = spawn("flock", [...waiting, "sh", "-c", "echo && exec cat"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(holder, "close");
  const isMine = await Promise.race([once(holder.stdout, "data").then(() => true), ended]);
  if (isMine !== true) throw new Error("what others build takes too long");
  try {
    return await work();
  } finally {
    holder.stdin.end();
    await ended;
  }
}
